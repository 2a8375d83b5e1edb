//! For tests: nothing yet.
