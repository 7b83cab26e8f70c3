// Says what a binary policy allows: its rules as its booleans stand, and its constraints, which sesearch leaves out.
//
//     access POLICY
//
// answers each line of standard input with one line. Where a question takes an attribute, it is about every type that has it.
//
//     may SOURCE TARGET CLASS PERMISSION        yes, or no
//     who ATTRIBUTE TARGET CLASS PERMISSION     the types that may do it to TARGET
//     whom SOURCE ATTRIBUTE CLASS PERMISSION    the types that SOURCE may do it to
//     becomes SOURCE TARGET CLASS [NAME]        the type of what SOURCE makes in TARGET, by that name, or runs
//     port PROTOCOL NUMBER                      its type; the protocol is tcp or udp
//     have ATTRIBUTE                            the types
//     set BOOLEAN true|false                    ok; counts for what follows
//
// A name that the policy does not know is an error that ends the program: a misspelt question is not answered with "no".

#include <sepol/policydb/conditional.h>
#include <sepol/policydb/policydb.h>
#include <sepol/policydb/services.h>
#include <sepol/policydb/sidtab.h>

#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static policydb_t policy;
static sidtab_t sids;

static void read_policy(const char *path)
{
    struct policy_file file;
    policy_file_init(&file);
    file.type = PF_USE_STDIO;
    file.fp = fopen(path, "r");
    if (!file.fp)
        err(2, "%s", path);
    if (policydb_init(&policy) != 0 || policydb_read(&policy, &file, 0) != 0)
        errx(2, "%s cannot be read", path);
    fclose(file.fp);
    if (policydb_load_isids(&policy, &sids) != 0)
        errx(2, "%s has no initial SIDs", path);
    sepol_set_policydb(&policy);
    sepol_set_sidtab(&sids);
    if (evaluate_conds(&policy) != 0)
        errx(2, "%s: its booleans", path);
}

static type_datum_t *type_named(const char *name, int is_attribute)
{
    type_datum_t *type = hashtab_search(policy.p_types.table, (hashtab_key_t)name);
    if (!type || (type->flavor == TYPE_ATTRIB) != is_attribute)
        errx(2, "the policy has no %s %s", is_attribute ? "attribute" : "type", name);
    return type;
}

// A user who may have the role, system_u first; 0 where there is none.
static uint32_t user_of(uint32_t role)
{
    user_datum_t *system = hashtab_search(policy.p_users.table, (hashtab_key_t) "system_u");
    if (system && (role == OBJECT_R_VAL || ebitmap_get_bit(&system->roles.roles, role - 1)))
        return system->s.value;
    for (uint32_t i = 0; i < policy.p_users.nprim; ++i) {
        user_datum_t *user = policy.user_val_to_struct[i];
        if (user && ebitmap_get_bit(&user->roles.roles, role - 1))
            return i + 1;
    }
    return 0;
}

// A role that may have the type and that somebody may have, system_r first; object_r where there is none, as for files.
static uint32_t role_of(uint32_t type)
{
    role_datum_t *system = hashtab_search(policy.p_roles.table, (hashtab_key_t) "system_r");
    if (system && ebitmap_get_bit(&system->types.types, type - 1))
        return system->s.value;
    for (uint32_t i = 0; i < policy.p_roles.nprim; ++i) {
        role_datum_t *role = policy.role_val_to_struct[i];
        if (role && ebitmap_get_bit(&role->types.types, type - 1) && user_of(i + 1) != 0)
            return i + 1;
    }
    return OBJECT_R_VAL;
}

static sepol_security_id_t sid_of(uint32_t type)
{
    context_struct_t context;
    context_init(&context);
    context.type = type;
    context.role = role_of(type);
    context.user = user_of(context.role);
    // The lowest level, which is also the only one that processes of the default policy usually have.
    context.range.level[0].sens = context.range.level[1].sens = 1;
    sepol_security_id_t sid;
    if (sepol_sidtab_context_to_sid(&sids, &context, &sid) != 0)
        errx(2, "out of memory");
    return sid;
}

static sepol_security_class_t class_named(const char *name)
{
    sepol_security_class_t class;
    if (sepol_string_to_security_class(name, &class) != 0)
        errx(2, "the policy has no class %s", name);
    return class;
}

static int is_allowed(uint32_t source, uint32_t target, const char *class_name, const char *permission)
{
    const sepol_security_class_t class = class_named(class_name);
    sepol_access_vector_t wanted = 0;
    if (sepol_string_to_av_perm(class, permission, &wanted) != 0)
        errx(2, "the class %s has no permission %s", class_name, permission);
    struct sepol_av_decision decision;
    if (sepol_compute_av(sid_of(source), sid_of(target), class, wanted, &decision) != 0)
        errx(2, "the decision cannot be computed");
    return (decision.allowed & wanted) == wanted;
}

static void print_types(const ebitmap_t *types, uint32_t other, int other_is_source, const char *class, const char *permission)
{
    ebitmap_node_t *node;
    unsigned int bit;
    const char *space = "";
    ebitmap_for_each_positive_bit(types, node, bit) {
        const uint32_t type = bit + 1;
        if (class && !is_allowed(other_is_source ? other : type, other_is_source ? type : other, class, permission))
            continue;
        printf("%s%s", space, policy.p_type_val_to_name[bit]);
        space = " ";
    }
    printf("\n");
}

static const ebitmap_t *types_with(const char *attribute)
{
    return &policy.attr_type_map[type_named(attribute, 1)->s.value - 1];
}

// Rules for a name go before those for any; 0 where there is none.
static uint32_t type_by_name(uint32_t source, uint32_t target, sepol_security_class_t class, char *name)
{
    filename_trans_key_t key = { .ttype = target, .tclass = class, .name = name };
    const filename_trans_datum_t *rule = hashtab_search(policy.filename_trans, (hashtab_key_t)&key);
    while (rule && !ebitmap_get_bit(&rule->stypes, source - 1))
        rule = rule->next;
    return rule ? rule->otype : 0;
}

static void print_new_type(const char *source_name, const char *target_name, const char *class_name, char *name)
{
    const uint32_t source = type_named(source_name, 0)->s.value, target = type_named(target_name, 0)->s.value;
    const sepol_security_class_t class = class_named(class_name);
    uint32_t made = name ? type_by_name(source, target, class, name) : 0;
    if (made == 0) {
        sepol_security_id_t sid;
        if (sepol_transition_sid(sid_of(source), sid_of(target), class, &sid) != 0)
            errx(2, "the transition cannot be computed");
        made = sepol_sidtab_search(&sids, sid)->type;
    }
    printf("%s\n", policy.p_type_val_to_name[made - 1]);
}

static void print_port(const char *protocol, const char *number)
{
    sepol_security_id_t port;
    const uint8_t number_of_protocol = strcmp(protocol, "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
    if (sepol_port_sid(AF_INET, 0, number_of_protocol, (uint16_t)atoi(number), &port) != 0)
        errx(2, "the port cannot be looked up");
    printf("%s\n", policy.p_type_val_to_name[sepol_sidtab_search(&sids, port)->type - 1]);
}

static void set_boolean(const char *name, const char *value)
{
    cond_bool_datum_t *boolean = hashtab_search(policy.p_bools.table, (hashtab_key_t)name);
    if (!boolean)
        errx(2, "the policy has no boolean %s", name);
    boolean->state = strcmp(value, "true") == 0;
    if (evaluate_conds(&policy) != 0)
        errx(2, "the booleans cannot be evaluated");
    printf("ok\n");
}

static void answer(char *line)
{
    char *words[6] = { 0 };
    int count = 0;
    for (char *word = strtok(line, " \n"); word && count < 6; word = strtok(NULL, " \n"))
        words[count++] = word;
    const char *question = count > 0 ? words[0] : "";
    if (count == 5 && strcmp(question, "may") == 0)
        puts(is_allowed(type_named(words[1], 0)->s.value, type_named(words[2], 0)->s.value, words[3], words[4]) ? "yes" : "no");
    else if (count == 5 && strcmp(question, "who") == 0)
        print_types(types_with(words[1]), type_named(words[2], 0)->s.value, 0, words[3], words[4]);
    else if (count == 5 && strcmp(question, "whom") == 0)
        print_types(types_with(words[2]), type_named(words[1], 0)->s.value, 1, words[3], words[4]);
    else if ((count == 4 || count == 5) && strcmp(question, "becomes") == 0)
        print_new_type(words[1], words[2], words[3], words[4]);
    else if (count == 3 && strcmp(question, "port") == 0)
        print_port(words[1], words[2]);
    else if (count == 2 && strcmp(question, "have") == 0)
        print_types(types_with(words[1]), 0, 0, NULL, NULL);
    else if (count == 3 && strcmp(question, "set") == 0)
        set_boolean(words[1], words[2]);
    else
        errx(2, "this is no question: %s", question);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        errx(2, "usage: access POLICY");
    read_policy(argv[1]);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) >= 0) {
        answer(line);
        fflush(stdout);
    }
    free(line);
    return 0;
}
