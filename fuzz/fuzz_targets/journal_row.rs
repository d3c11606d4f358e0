//! Any values as a row of the journal, and any text as a cursor.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(volume::fuzz::journal_row);
