#!/usr/bin/perl
# A load of reads, writes and fsyncs that knows its own data, for a machine whose disk comes and goes. Nothing but
# perl-base is needed.
#
#   lab-load run FOLDER NOTES [PAUSE]  until it is killed, or until something is wrong: then the reason is in NOTES/error;
#                                      PAUSE: seconds after each round
#   lab-load verify FOLDER NOTES  everything that was acknowledged is there (also on another machine, from copies)
#   lab-load hog NOTES MIB        takes memory until so much is left, notes both, and holds it until NOTES/enough is there
#
# A worker has a file of SLOTS records, which it overwrites round and round, so that a write which comes late or gets
# lost shows as a record that is too old. A record is made from its number alone. After an fsync the worker notes the
# number (NOTES is a tmpfs): from then on that record, or a later one, must be in its slot. Every REPLACE fsyncs it also
# replaces a small file by a new one, for the file system's own structures; that has a number and a note of its own.
use strict;
use warnings;
use Fcntl qw(O_RDWR O_RDONLY O_CREAT O_WRONLY SEEK_SET);
use IO::Handle;

use constant {WORKERS => 3, SLOTS => 512, RECORD => 4096, REPLACE => 16, BATCH => 4, O_DIRECT => 0x4000};
my $header = 'a8 N N';
my $header_size = 16;
my $body_size = RECORD - $header_size;
my $pool = make_pool();

sub make_pool {
    my ($value, @words) = (20260601);
    push @words, $value = ($value * 1664525 + 1013904223) & 0xffffffff for 1 .. 8192;
    return pack 'N*', @words;
}

sub record {
    my ($worker, $number) = @_;
    my $mix = ($number * 2654435761 + $worker * 40503) & 0xffffffff;
    my $body = substr($pool, $mix % (length($pool) - $body_size), $body_size) ^ (pack('N', $mix) x ($body_size / 4));
    return pack($header, 'HOLDFAST', $worker, $number) . $body;
}

# Dies with what is wrong about a slot that must hold this record or a later one of the same slot.
sub check {
    my ($found, $worker, $least) = @_;
    my $slot = ($least - 1) % SLOTS;
    my $where = "worker $worker, slot $slot, which must hold record $least or later";
    die "$where: it has " . length($found) . " bytes\n" if length $found != RECORD;
    my ($magic, $its_worker, $number) = unpack $header, $found;
    die "$where: no record, but " . unpack('H32', $found) . "\n" if $magic ne 'HOLDFAST';
    die "$where: record $number of worker $its_worker\n"
        if $its_worker != $worker || ($number - 1) % SLOTS != $slot || $number < $least;
    return if $found eq record($worker, $number);
    my $differing = ($found ^ record($worker, $number)) =~ tr/\0//c;
    die "$where: $differing bytes of record $number are wrong\n";
}

# Milliseconds of CLOCK_MONOTONIC, without Time::HiRes, which perl-base lacks.
sub now {
    my $time = "\0" x 16;
    syscall(228, 1, $time) == 0 or die "clock_gettime: $!\n";
    my ($seconds, $nanoseconds) = unpack 'q q', $time;
    return $seconds * 1000 + int($nanoseconds / 1_000_000);
}

sub note {
    my ($file, @numbers) = @_;
    sysseek $file, 0, SEEK_SET;
    syswrite $file, sprintf("%012d " x @numbers, @numbers) . "\n";
}

sub open_or_die {
    my ($path, $flags) = @_;
    sysopen my $file, $path, $flags, 0600 or die "open $path: $!\n";
    return $file;
}

# Reads around the page cache, for which the memory must be aligned.
sub read_disk {
    my ($file, $slot) = @_;
    my $buffer = "\0" x (3 * RECORD);
    my $pad = -unpack('J', pack 'p', $buffer) % RECORD;
    sysseek $file, $slot * RECORD, SEEK_SET or die "seek: $!\n";
    my $count = sysread $file, $buffer, RECORD, $pad;
    die "read of slot $slot: $!\n" if !defined $count;
    return substr $buffer, $pad, $count;
}

sub replace {
    my ($folder, $worker, $number) = @_;
    my $file = open_or_die("$folder/$worker.new", O_WRONLY | O_CREAT);
    syswrite($file, record($worker, $number)) == RECORD or die "write of $worker.new: $!\n";
    $file->sync or die "fsync of $worker.new: $!\n";
    close $file or die "close of $worker.new: $!\n";
    rename "$folder/$worker.new", "$folder/$worker.kept" or die "rename of $worker.new: $!\n";
    my $directory = open_or_die($folder, O_RDONLY);
    $directory->sync or die "fsync of $folder: $!\n";
}

sub work {
    my ($worker, $folder, $notes, $pause) = @_;
    srand $worker;
    my $file = open_or_die("$folder/$worker.ring", O_RDWR | O_CREAT);
    my $direct = open_or_die("$folder/$worker.ring", O_RDONLY | O_DIRECT);
    my $acked = open_or_die("$notes/$worker.acked", O_WRONLY | O_CREAT);
    my ($number, $kept, $longest) = (0, 0, 0);
    for (my $round = 1;; ++$round) {
        my $began = now();
        for (1 .. 1 + int rand BATCH) {
            ++$number;
            sysseek $file, ($number - 1) % SLOTS * RECORD, SEEK_SET or die "seek: $!\n";
            syswrite($file, record($worker, $number)) == RECORD or die "write of record $number: $!\n";
        }
        $file->sync or die "fsync of record $number: $!\n";
        if ($round % REPLACE == 0) {
            replace($folder, $worker, $number);
            $kept = $number;
        }
        my $earlier = $number - int rand($number < SLOTS ? $number : SLOTS);
        check(read_disk($direct, ($earlier - 1) % SLOTS), $worker, $earlier);
        my $took = now() - $began;
        $longest = $took if $took > $longest;
        note($acked, $number, $kept, $longest, $round);
        select undef, undef, undef, $pause if $pause;
    }
}

sub run {
    my ($folder, $notes, $pause) = @_;
    mkdir $_ for $folder, $notes;
    for my $worker (0 .. WORKERS - 1) {
        next if fork;
        eval { work($worker, $folder, $notes, $pause) };
        my $file = open_or_die("$notes/error", O_WRONLY | O_CREAT);
        syswrite $file, "worker $worker: $@";
        exit 1;
    }
    1 while wait != -1;
}

sub read_file {
    my ($path) = @_;
    my $file = open_or_die($path, O_RDONLY);
    local $/;
    my $text = readline $file;
    return defined $text ? $text : '';
}

sub verify {
    my ($folder, $notes) = @_;
    my $records = 0;
    for my $worker (0 .. WORKERS - 1) {
        my ($acked, $kept) = split ' ', read_file("$notes/$worker.acked");
        my $ring = read_file("$folder/$worker.ring");
        my $first = $acked > SLOTS ? $acked - SLOTS + 1 : 1;
        check(substr($ring, ($_ - 1) % SLOTS * RECORD, RECORD), $worker, $_) for $first .. $acked;
        $records += $acked - $first + 1;
        next if !$kept;
        my $found = read_file("$folder/$worker.kept");
        my (undef, undef, $number) = unpack $header, $found;
        die "worker $worker: replaced by $number, after $kept was acknowledged\n"
            if $number < $kept || $found ne record($worker, $number);
    }
    print "$records records are as they were acknowledged\n";
}

sub available {
    return read_file('/proc/meminfo') =~ /^MemAvailable: +(\d+)/m ? $1 >> 10 : die "no MemAvailable\n";
}

sub hog {
    my ($notes, $left) = @_;
    my $score = open_or_die('/proc/self/oom_score_adj', O_WRONLY);
    syswrite $score, "1000\n";
    my $file = open_or_die("$notes/hog", O_WRONLY | O_CREAT);
    my @held;
    while (available() > $left) {
        push @held, 'h' x (1 << 20);
        note($file, scalar @held, available());
    }
    sleep 1 while !-e "$notes/enough";
}

my ($command, @words) = @ARGV;
my %commands = (run => \&run, verify => \&verify, hog => \&hog);
die "usage: lab-load run|verify|hog ...\n" if !$command || !$commands{$command};
$commands{$command}->(@words);
