package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName   = "ORDERS"
	subject      = "orders.paid"
	consumerName = "charger"
	ackWait      = time.Second // after so long without an ack, a message is delivered again
)

// queue is a NATS server with one stream, in this process, and a connection to it.
type queue struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

func startQueue(ctx context.Context, folder string) (*queue, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	q := &queue{server: s}
	if !s.ReadyForConnections(30 * time.Second) {
		q.close()
		return nil, errors.New("the NATS server did not start")
	}
	if q.conn, err = nats.Connect(s.ClientURL()); err == nil {
		if q.js, err = jetstream.New(q.conn); err == nil {
			_, err = q.js.CreateStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{subject}})
		}
	}
	if err == nil {
		_, err = q.js.CreateConsumer(ctx, streamName, jetstream.ConsumerConfig{
			Durable: consumerName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1,
		})
	}
	if err != nil {
		q.close()
		return nil, fmt.Errorf("setting up the queue: %w", err)
	}
	return q, nil
}

func (q *queue) url() string { return q.server.ClientURL() }

// publish puts a message into the queue for each id. The publisher names them, so
// that a message it publishes twice has one id.
func (q *queue) publish(ctx context.Context, ids []string) error {
	for i, id := range ids {
		body := fmt.Sprintf(`{"order":%q,"cents":%d}`, id, 500+i)
		if _, err := q.js.Publish(ctx, subject, []byte(body), jetstream.WithMsgID(id)); err != nil {
			return err
		}
	}
	return nil
}

// waitEmpty waits until every message is acked.
func (q *queue) waitEmpty(ctx context.Context) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		c, err := q.js.Consumer(ctx, streamName, consumerName)
		if err != nil {
			return err
		}
		if info := c.CachedInfo(); info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// deliveredAgain is how many deliveries were not the first of their message.
func (q *queue) deliveredAgain() (int, error) {
	c, err := q.js.Consumer(context.Background(), streamName, consumerName)
	if err != nil {
		return 0, err
	}
	info := c.CachedInfo()
	return int(info.Delivered.Consumer - info.Delivered.Stream), nil
}

func (q *queue) close() {
	if q.conn != nil {
		q.conn.Close()
	}
	q.server.Shutdown()
	q.server.WaitForShutdown()
}
