package server_test

func agentChild() error { return nil }
