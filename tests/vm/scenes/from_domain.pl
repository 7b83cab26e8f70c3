# Does one thing from within an SELinux domain, and exits with the errno of what happened, 0 for success.
#
#     perl from_domain.pl CONTEXT kill SIGNAL PID | ptrace PID | prlimit PID | read PATH | write PATH | bind PORT | exec PROGRAM
#
# It moves itself into the context; lab_domains.cil lets the shell of a test do that. 200: it could not.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;

my ($context, $what, @with) = @ARGV;

# Of x86-64.
my ($SYS_PTRACE, $PTRACE_ATTACH, $SYS_PRLIMIT64, $RLIMIT_CORE) = (101, 16, 302, 4);

sub errno_unless { return $_[0] ? 0 : $! + 0 }

my %actions = (
    kill => sub { return errno_unless(kill($with[0], $with[1])) },
    ptrace => sub { return errno_unless(syscall($SYS_PTRACE, $PTRACE_ATTACH, $with[0] + 0, 0, 0) != -1) },
    # A hard limit that is lowered.
    prlimit => sub { return errno_unless(syscall($SYS_PRLIMIT64, $with[0] + 0, $RLIMIT_CORE, my $limit = pack("QQ", 0, 0), 0) != -1) },
    read => sub { return errno_unless(sysopen(my $file, $with[0], O_RDONLY)) },
    write => sub { return errno_unless(sysopen(my $file, $with[0], O_RDWR)) },
    bind => sub {
        socket(my $socket, PF_INET, SOCK_STREAM, 0) or return $! + 0;
        setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1) or return $! + 0;
        return errno_unless(bind($socket, sockaddr_in($with[0], INADDR_LOOPBACK)));
    },
    exec => sub { exec { $with[0] } $with[0], '-c', 'true' or return $! + 0 },
);
my $action = $actions{$what} or die "unknown: $what\n";

open(my $own, '>', '/proc/self/attr/current') or exit 200;
syswrite($own, $context) // exit 200;
close($own);
# Not exit(): what Perl tidies up would be tried from within the domain, too.
POSIX::_exit($action->());
