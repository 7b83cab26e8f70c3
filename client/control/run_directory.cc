// Corrects the folder's mode, too.

#include "client/control/run_directory.hh"

#include <errno.h>
#include <sys/stat.h>

namespace holdfast::client {

Result<void> make_run_directory() {
    if (::mkdir(run_directory, 0755) != 0 && errno != EEXIST) return sys_error("mkdir /run/holdfast");
    // Corrects the mode of a folder made by an older version, or under another umask.
    struct stat found {};
    if (::stat(run_directory, &found) != 0) return sys_error("stat /run/holdfast");
    if ((found.st_mode & 07777) != 0755 && ::chmod(run_directory, 0755) != 0)
        return sys_error("chmod /run/holdfast");
    return {};
}

}  // namespace holdfast::client
