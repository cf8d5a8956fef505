//! An embedded LDAP directory with a small company in it, for the demo and for tests
