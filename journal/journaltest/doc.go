// Package journaltest checks that a journal.Journal does what the client relies on.
// A store outside this module runs it in a test of its own:
//
//	func TestJournal(t *testing.T) {
//		journaltest.Run(t, func(t *testing.T) journaltest.Store {
//			s := memory.NewStore() // a new, empty store
//			return journaltest.Store{
//				Open: func() (journal.Journal, error) { return s.Open(), nil },
//				OpenOther: func() (journal.Journal, func() error, error) {
//					o := s.Open()
//					return o, o.Kill, nil
//				},
//			}
//		})
//	}
//
// If a process can open the store only once, or if only the death of a process ends an
// opener, then OpenOther starts a child process, for example the test binary itself.
// The child calls Serve with its journal, and OpenOther returns a Pipe to it.
package journaltest
