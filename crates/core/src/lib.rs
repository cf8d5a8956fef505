//! Rules, reconcile, sign-in, refresh and configuration
