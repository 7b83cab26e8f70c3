#!/usr/bin/perl
# Stops and starts the service in the server's machine when the client's machine says so (outage_round.pl), and tells when
# its port was open again, by this machine's clock. It also tells that clock, so that the other can work out the difference.
# Listening is seen in /proc and not by a connection, which a service would have to deal with just then.
#
# Requests, each a datagram: "clock"; "run COMMAND"; "start PORT COMMAND". Answers: a time, or the exit status and a time.
use strict;
use warnings;
use Socket;

use constant { CLOCK_GETTIME => 228, CLOCK_MONOTONIC => 1, AGENT_PORT => 7077, LISTEN_STATE => "0A", PATIENCE => 60 };

sub now {
    my $time = "\0" x 16;
    syscall(CLOCK_GETTIME, CLOCK_MONOTONIC, $time) == 0 or die "clock_gettime: $!";
    my ($seconds, $nanoseconds) = unpack "qq", $time;
    return $seconds + $nanoseconds / 1e9;
}

sub listens {
    my ($port) = @_;
    for my $table ("/proc/net/tcp", "/proc/net/tcp6") {
        open my $file, "<", $table or next;
        while (<$file>) {
            my (undef, $local, undef, $state) = split;
            return 1 if $state eq LISTEN_STATE && hex((split /:/, $local)[1]) == $port;
        }
    }
    return 0;
}

# Runs the command; with a port, the time is that at which it was first seen open, else that of the command's end.
sub run {
    my ($command, $port) = @_;
    my $child = fork // die "fork: $!";
    exec "/bin/sh", "-c", $command or die "sh: $!" if $child == 0;
    my $opened;
    for (my $deadline = now() + PATIENCE; $port && !$opened && now() < $deadline;) {
        $opened = now() if listens($port);
        select undef, undef, undef, 0.002;
    }
    waitpid $child, 0;
    my $status = $port && !$opened ? 255 : $? >> 8;
    return sprintf "%d %.6f", $status, $opened // now();
}

socket my $socket, PF_INET, SOCK_DGRAM, 0 or die "socket: $!";
bind $socket, sockaddr_in(AGENT_PORT, INADDR_ANY) or die "bind: $!";
while (1) {
    my $peer = recv $socket, my $request, 8192, 0;
    defined $peer or next;
    my $answer = $request eq "clock" ? sprintf("%.6f", now())
        : $request =~ /^run (.*)$/s ? run($1)
        : $request =~ /^start (\d+) (.*)$/s ? run($2, $1)
        : "what?";
    send $socket, $answer, 0, $peer;
}
