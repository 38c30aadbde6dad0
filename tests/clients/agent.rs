//! A coding agent does a turn of work: it asks, is told to read a file, reads it, and reports.
