//! The table on machines that are folders, and on this one: one binary, because linking takes
//! longer than the tests.

mod audit;
mod changes;
mod kills;
mod machine;
mod rows;
