package server_test

func sqlChild() error     { return nil }
func journalChild() error { return nil }
func agentChild() error   { return nil }
