//! Who gets at what: sessions, grants, roles, consent, emergencies, sign-in, reviews.

#[path = "../support/people.rs"]
mod people;
#[path = "../support/mod.rs"]
mod support;

mod clock;
mod compartments;
mod consent;
mod emergencies;
mod explained;
mod identifiers;
mod labels;
mod opening_a_session;
mod reclassified;
mod refusals_in_the_log;
mod registered_grants;
mod reviews;
mod revocation;
mod risks;
mod roles;
mod sign_in;
mod sign_in_sessions;
mod sign_in_shows_nothing;
mod uses;
