package coordinator

import (
	"log/slog"

	"github.com/troupe-ml/troupe/actors/wire"
	"github.com/troupe-ml/troupe/jobs"
)

// outbox carries the core's orders to the actors of members that have said
// hello. What is for others is dropped: the next hello asks for it.
type outbox Candidate

func (c *Candidate) send(m jobs.MemberID, word any) error {
	pid := c.pids[m]
	if pid == nil {
		return nil
	}
	message, err := wire.Encode(c.from(), word)
	if err != nil {
		return err
	}
	c.parts.System.Send(pid, c.pid, message)
	return nil
}

// Start sends an order. One that cannot be sent fails its task, or the job
// would wait for ever.
func (o *outbox) Start(m jobs.MemberID, order jobs.Order) {
	c := (*Candidate)(o)
	if err := c.send(m, order); err != nil {
		c.put(letter{nil, tooLarge(m, order, err)})
	}
}

// Stop tells a member to end an attempt.
func (o *outbox) Stop(m jobs.MemberID, r jobs.Ref) { o.say(m, wire.Stop{Ref: r}) }

// Ack tells a member that its report is durable.
func (o *outbox) Ack(m jobs.MemberID, r jobs.Ref) { o.say(m, wire.Ack{Ref: r}) }

func (o *outbox) say(m jobs.MemberID, word any) {
	c := (*Candidate)(o)
	if err := c.send(m, word); err != nil {
		c.parts.Log.Error("message cannot be sent", slog.String("member", string(m)), slog.Any("err", err))
	}
}

// Ended passes a job's end on.
func (o *outbox) Ended(j *jobs.Job) (told bool) {
	if o.parts.Ended == nil {
		return true
	}
	id := j.ID
	o.parts.Ended(j, func() { (*Candidate)(o).tell(id) })
	return false
}

// Progress passes on how far a task is.
func (o *outbox) Progress(p jobs.Progress) {
	if o.parts.Progress != nil {
		o.parts.Progress(p)
	}
}
