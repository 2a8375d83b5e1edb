//! Command line and configuration file.
