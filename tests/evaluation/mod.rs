//! The scoring module from outside: layouts, intervals, resuming, reports.

mod comparison;
mod fixture;
mod full_disk;
mod journal;
mod protocol;
mod report;
mod statistics;
