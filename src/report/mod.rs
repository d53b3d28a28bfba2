//! Pure report: tables, plots and files of a run, from values to text and bytes.
