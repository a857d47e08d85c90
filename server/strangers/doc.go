// Package strangers tests package server with what the library does not depend on:
// stripe-go as a client that knows nothing of it, and PostgreSQL as the database of
// a handler. It has no code but tests.
package strangers
