// Package jobs is the life of a job: its words, and Step, which advances it.
// Nothing here reads a clock, draws a number, starts a goroutine or touches a
// store, so replay, simulation and take-over are one and the same operation.
//
// A job is a sequence of stages, each planned when the one before it is done:
//
//	Submitted -> Plan -> StagePlanned -> (assigned -> done)* -> Plan -> ... -> Concluded
//
// A stage is a Map (one task a shard), a Merge (one task) or a Gang (one task
// that N members run together). Events are durable before their effects are
// carried out, so effects may be carried out twice and must be idempotent.
package jobs
