//! What lightmeter draws and writes, as a library: pure functions from samples
//! to pictures ([`plot`]) and to files that other programs read ([`export`]).
//! Nothing here measures, reads a clock or knows the command line, so a figure
//! can be drawn again from a saved run, and a test can look at every byte.

pub mod export;
pub mod plot;
