#!/usr/bin/perl
# One round in the client's machine: a load on the device, an outage under it, and the times of its I/O, all by this
# machine's CLOCK_MONOTONIC. It prints what it saw and judges nothing; outage_figures.py does.
#
#     outage_round.pl DEVICE dropped|stopped SECONDS PATIENCE SERVER PORT STOP-COMMAND START-COMMAND
#
# The load: four writers that each have one block on its way at any time (what is in flight when the outage begins), and
# beside them a new write every now and then from a process of its own (what is new), seldom before the server is back, so
# that no queue is full of them, and every 50 ms after it. All are O_DIRECT, so a write ends when the server has answered.
#
# Packets are dropped in this machine, both ways, so that nobody sees a reset or a lost carrier. On their way out they are
# "trapped", not "dropped": of a drop TCP is told, and then it tries again every half second instead of backing off.
use strict;
use warnings;
use Fcntl;
use Socket;

use constant { PWRITE => 18, CLOCK_GETTIME => 228, CLOCK_MONOTONIC => 1, O_DIRECT => 040000, BLOCK => 4096 };
use constant { AGENT_PORT => 7077, WRITERS => 4, LOST_AFTER => 10, NO_HANG => 1 };
use constant { LOG => "/run/outage.log", RETURNED => "/run/outage.returned" };

my ($device, $kind, $length, $patience, $server, $port, $stop, $start) = @ARGV;
defined $start or die "usage: see the head of $0\n";

sub now {
    my $time = "\0" x 16;
    syscall(CLOCK_GETTIME, CLOCK_MONOTONIC, $time) == 0 or die "clock_gettime: $!";
    my ($seconds, $nanoseconds) = unpack "qq", $time;
    return $seconds + $nanoseconds / 1e9;
}

sub pause { select undef, undef, undef, $_[0] }

# The load

unlink LOG, RETURNED;
sysopen my $log, LOG, O_RDWR | O_CREAT | O_APPEND or die LOG . ": $!";
sysopen my $disk, $device, O_RDWR | O_DIRECT or die "$device: $!\n";
my $memory = "x" x (2 * BLOCK);
my $address = unpack("J", pack "P", $memory);
$address += BLOCK - $address % BLOCK;  # O_DIRECT wants it aligned

# Writes one block; its begin and its end are in the log, each a line in one write. Returns the error, or 0.
sub write_block {
    my ($name, $offset) = @_;
    my $began = now();
    syswrite $log, sprintf "b %s %.6f\n", $name, $began;
    my $done = syscall PWRITE, fileno($disk), $address, BLOCK, $offset;
    my $error = $done == BLOCK ? 0 : $! + 0 || 5;
    syswrite $log, sprintf "e %s %.6f %d\n", $name, now(), $error;
    return $error;
}

sub writer {
    my ($number) = @_;
    for (my $count = 0; ; $count++) {
        pause(0.1) if write_block("writer$number.$count", ($number * 256 + $count % 256) * BLOCK);
    }
}

sub prober {
    my ($count, $open) = (0, 0);
    while (1) {
        $open-- while $open && waitpid(-1, NO_HANG) > 0;
        my $returned = -e RETURNED;
        if ($open < ($returned ? 80 : 16)) {
            my $child = fork // die "fork: $!";
            if ($child == 0) {
                write_block("new.$count", (WRITERS * 256 + $count % 1024) * BLOCK);
                exit 0;
            }
            $count++;
            $open++;
        }
        for (1 .. $returned ? 1 : 10) {
            pause(0.05);
            last if -e RETURNED;
        }
    }
}

sub start_load {
    my $group = fork // die "fork: $!";
    return $group if $group;
    setpgrp;
    for my $number (0 .. WRITERS - 1) {
        my $child = fork // die "fork: $!";
        writer($number) if $child == 0;
    }
    prober();
}

# What the load has done so far, by the names of the writes: [begin, end, error].
my (%io, $unread);

sub read_log {
    open my $file, "<", LOG or die LOG . ": $!";
    seek $file, $unread // 0, 0;
    while (<$file>) {
        last unless /\n$/;
        my ($what, $name, $time, $error) = split;
        if ($what eq "b") { $io{$name} = [$time] } else { @{ $io{$name} }[1, 2] = ($time, $error) }
        $unread = tell $file;
    }
}

# The outage

# A tc that has started and waits for its lines: starting a program takes its time in an emulated machine, and that time would
# be in doubt.
sub waiting_tc {
    open my $tc, "|-", "tc", "-batch", "-" or die "tc: $!";
    return $tc;
}

# Returns the time before anything happened; when it returns all has.
sub traffic_control {
    my ($tc, $lines) = @_;
    my $before = now();
    syswrite $tc, $lines;
    close $tc or die "tc failed: $lines";
    return $before;
}

my ($cutter, $mender);
socket my $socket, PF_INET, SOCK_DGRAM, 0 or die "socket: $!";
connect $socket, sockaddr_in(AGENT_PORT, inet_aton($server)) or die "connect: $!";

sub ask {
    my ($request) = @_;
    send $socket, $request, 0 or die "send: $!";
    my $bits = "";
    vec($bits, fileno($socket), 1) = 1;
    select $bits, undef, undef, 90 or die "the agent does not answer to: $request\n";
    recv $socket, my $answer, 8192, 0;
    return split " ", $answer;
}

# The server's clock less ours, and how far that can be wrong: from the quickest of some questions.
sub clock_difference {
    my ($difference, $doubt);
    for (1 .. 20) {
        my $before = now();
        my ($theirs) = ask("clock");
        my $half = (now() - $before) / 2;
        ($difference, $doubt) = ($theirs - $before - $half, $half) if !defined $doubt || $half < $doubt;
    }
    return ($difference, $doubt);
}

sub begin_outage {
    if ($kind eq "dropped") {
        traffic_control($cutter, "filter add dev eth0 ingress pref 1 matchall action drop\nfilter add dev eth0 egress pref 1 matchall action trap\n");
    } else {
        my ($status) = ask("run $stop");
        $status == 0 or die "`$stop` exited with $status\n";
    }
    return now();
}

# When the server was back, and how much later it may have been (dropped), or to either side (stopped).
sub end_outage {
    if ($kind eq "dropped") {
        my $before = traffic_control($mender, "filter del dev eth0 egress pref 1\nfilter del dev eth0 ingress pref 1\n");
        return ($before, now() - $before);
    }
    my ($difference, $doubt) = clock_difference();
    my ($status, $opened) = ask("start $port $start");
    $status == 0 or die "`$start` exited with $status\n";
    return ($opened - $difference, $doubt + 0.002);
}

# Whether the round is over: all is well again, or it is certain that it never will be.
sub over {
    my ($begin, $return) = @_;
    my ($now, $new, $errors) = (now(), 0, 0);
    for (values %io) {
        my ($began, $ended, $error) = @$_;
        return 0 if !defined $ended && ($began <= $return || $began < $now - 0.5);
        next if !defined $ended || $ended < $begin;
        $errors++ if $error;
        $new++ if !$error && $began > $begin && $ended > $return;
    }
    return $new || ($errors && $now > $return + LOST_AFTER);
}

my $load = start_load();
($cutter, $mender) = (waiting_tc(), waiting_tc()) if $kind eq "dropped";  # after the load: it would hold their pipes open
$SIG{__DIE__} = sub { kill KILL => -$load };
for (my $deadline = now() + 30; keys(%io) < 100; pause(0.1)) {
    now() < $deadline or die "the load does not get going\n";
    read_log();
}
my $begin = begin_outage();
pause($length);
my ($return, $doubt) = end_outage();
open my $mark, ">", RETURNED or die RETURNED . ": $!";
close $mark;
do { pause(0.02); read_log() } until over($begin, $return) || now() > $return + $patience;
my $until = now();
kill KILL => -$load;

printf "begin %.6f\nreturn %.6f\ndoubt %.6f\nuntil %.6f\n", $begin, $return, $doubt, $until;
for (sort { $a->[0] <=> $b->[0] } values %io) {
    my ($began, $ended, $error) = @$_;
    printf "io %s %s %s\n", $began, $ended // "-", $error // "-" if !defined $ended || $ended > $begin || $error;
}
