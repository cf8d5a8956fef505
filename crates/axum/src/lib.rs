//! Directory sign-in, current user and guards for axum apps
