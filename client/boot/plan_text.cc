// A line for each kind of choice, in the words of the options.

#include "client/boot/plan_text.hh"

#include <fmt/core.h>

#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

std::string attachment_text(const Choices& choices) {
    const std::string block_size = choices.block_size
                                       ? fmt::format("{}", *choices.block_size)
                                       : std::string("that of the partition table or of the server");
    const char* const read_only = choices.read_only.value_or(false) ? "yes" : "no, unless the export is";
    return fmt::format("block-size {}, read-only {}", block_size, read_only);
}

std::string mount_text(const BootPlan& plan) {
    std::string text;
    if (!plan.root_fstype.empty()) text += fmt::format(", file system type {}", printable(plan.root_fstype));
    if (!plan.root_flags.empty()) text += fmt::format(", mount options {}", printable(plan.root_flags));
    return text;
}

}  // namespace

std::string plan_text(const BootPlan& plan) {
    std::string text = fmt::format("{}\n{}{}\n{}\n", describe(plan), attachment_text(plan.options),
                                   mount_text(plan), describe(policy_of(plan.options)));
    for (const FurtherDisk& disk : plan.further) {
        text += describe(disk) + "\n";
        if (disk.problem.empty())
            text += fmt::format("{}\n{}\n", attachment_text(disk.options), describe(policy_of(disk.options)));
    }
    return text;
}

std::string gave_up_text(const BootPlan& plan, std::string_view file) {
    const auto patience = plan.patience.count();
    return plan.file_decides_patience
               ? fmt::format("gave up after {} s; set a longer time with wait=, in nbdroot= or in {}",
                             patience, file)
               : fmt::format(
                     "gave up after {} s; set a longer time with wait= in nbdroot=, or with rootdelay=",
                     patience);
}

}  // namespace holdfast::client
