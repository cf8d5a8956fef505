//! One configured directory: its servers, people, groups and account states
