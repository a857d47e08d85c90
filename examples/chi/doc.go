// Package chi shows package server in a chi router: see its test. It has a module
// of its own, so that the library does not depend on chi.
package chi
