//! To whom things on the volume belong: seen by whoever may look, given to the service by root.

use std::ops::ControlFlow;

use volume::owner::{self, Foreign, Owner, Owners};

use super::{Desk, Failure};

impl Desk {
    /// Whom the service runs as; none where that is root.
    pub fn service(&self) -> Option<Owner> {
        owner::of_service(&self.folder)
    }

    /// How much belongs to somebody else.
    pub fn count_owners(
        &self,
        service: Owner,
        go_on: &mut dyn FnMut(&Owners) -> ControlFlow<()>,
    ) -> Result<Owners, Failure> {
        self.owners(service, Foreign::Count, go_on)
    }

    /// Gives all of it to the service.
    pub fn fix_owners(&self, service: Owner) -> Result<Owners, Failure> {
        self.owners(service, Foreign::Mend, &mut |_| ControlFlow::Continue(()))
    }

    fn owners(
        &self,
        service: Owner,
        what: Foreign,
        go_on: &mut dyn FnMut(&Owners) -> ControlFlow<()>,
    ) -> Result<Owners, Failure> {
        let mut last = Owners::default();
        self.volume.owners(service, what, &mut |it| {
            last.clone_from(it);
            go_on(it)
        })?;
        Ok(last)
    }
}
