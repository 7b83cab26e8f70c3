// Saves the record before the move, and takes the helper process along.

#include "client/daemon/domain_move.hh"

#include "common/linux/log.hh"

namespace holdfast::client {

bool DomainMove::advance(SelinuxDomain::Clock::time_point now) {
    SelinuxDomain::Step step = domain_.look(now);
    if (step == SelinuxDomain::Step::ready) {
        // The labelling may have missed a record that was replaced meanwhile; a new file inherits the
        // folder's label.
        store_.save();
        step = domain_.move();
    }
    switch (step) {
        case SelinuxDomain::Step::none:
        case SelinuxDomain::Step::ready: break;
        case SelinuxDomain::Step::moved:
            limits_.follow_domain();
            log::notice(
                LineText::of("{}: entered its SELinux domain: {}", device_.name(), domain_.context().view()));
            return true;
        case SelinuxDomain::Step::forbidden:
            log::warning(
                LineText::of("{}: SELinux denied the transition to the daemon's domain; staying in {}",
                             device_.name(), domain_.context().view()));
            break;
        case SelinuxDomain::Step::unlabelled:
            log::warning(
                LineText::of("{}: staying in the SELinux domain kernel_t, because {} is not labelled; "
                             "install the policy modules of Holdfast and run restorecon -RF /run",
                             device_.name(), domain_.unlabelled()));
            break;
    }
    return false;
}

}  // namespace holdfast::client
