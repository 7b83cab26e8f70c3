// The files of the tree that a loader's file names: for files that people have edited, in which the names may
// be of kernels that no longer exist. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::netboot {

// Folders with the loaders' files.
inline constexpr std::string_view loader_folders[] = {"pxelinux.cfg", "grub", "ipxe"};

// True for a file of one of the three loaders.
[[nodiscard]] bool is_loader_text(std::string_view path);

// Kernels, initramfs images and the like that the text names, relative to the tree, in order. `path` is the
// file with the text, relative to the tree. Names with variables, on other servers, or on devices that GRUB
// searches for, are left out, and so is what a condition precedes: for reports, not for decisions.
[[nodiscard]] std::vector<std::string> files_named_in(std::string_view path, std::string_view text);

}  // namespace holdfast::netboot
