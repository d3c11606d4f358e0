//! Any bytes as a keys file and an edit of it: nobody is let in by nothing, an edit does what it says, and each mend ends.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(volume::fuzz::keys);
