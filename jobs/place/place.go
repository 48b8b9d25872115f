// Package place decides which member runs which task: a function of the tasks
// that wait and of the room that the members have. It prefers the emptiest
// member, gives a gang one rank a member, and places a gang as a whole or not
// at all.
package place

import (
	"slices"

	"github.com/troupe-ml/troupe/jobs"
)

// Member is the room that one member has left.
type Member struct {
	ID        jobs.MemberID
	FreeSlots int
	FreeBytes int64
}

// Want is a task that waits for a member, or for several when it is a gang.
type Want struct {
	Job      jobs.ID
	Task     jobs.TaskID
	Bytes    int64 // memory it may need on each member; 0 when unknown
	Gang     bool
	MinRanks int // Gang only: with fewer members it waits
	MaxRanks int // Gang only: it takes no more members
	// Former are the ranks that the gang had. When enough of them have room it is
	// formed of them alone, since they have all that it needs; others join it later.
	Former []jobs.MemberID
}

// Assignment gives a task to members; a gang's are its ranks in order.
type Assignment struct {
	Job     jobs.ID
	Task    jobs.TaskID
	Members []jobs.MemberID
}

// Assign places as many of wants as there is room for, in their order. A task
// that finds no room does not hold up those behind it. The result depends on
// the arguments alone; equal members are taken in the order of their ids.
func Assign(wants []Want, members []Member) []Assignment {
	room := slices.Clone(members)
	var out []Assignment
	for _, w := range wants {
		ranks := 1
		if w.Gang {
			ranks = max(w.MinRanks, 1)
		}
		fit := fitting(room, w.Bytes)
		if former := among(room, fit, w.Former); len(former) >= ranks {
			fit = former
		}
		if len(fit) < ranks {
			continue
		}
		take := 1
		if w.Gang {
			take = min(len(fit), max(w.MaxRanks, ranks))
		}
		a := Assignment{Job: w.Job, Task: w.Task}
		for _, i := range fit[:take] {
			room[i].FreeSlots--
			room[i].FreeBytes -= w.Bytes
			a.Members = append(a.Members, room[i].ID)
		}
		out = append(out, a)
	}
	return out
}

// among returns those places of fit that are of the former members, in their order.
func among(room []Member, fit []int, former []jobs.MemberID) []int {
	var out []int
	for _, m := range former {
		if i := slices.IndexFunc(fit, func(i int) bool { return room[i].ID == m }); i >= 0 {
			out = append(out, fit[i])
		}
	}
	return out
}

// fitting returns the places in room of the members that can take a task of
// that size, the emptiest first.
func fitting(room []Member, bytes int64) []int {
	var fit []int
	for i, m := range room {
		if m.FreeSlots > 0 && (bytes == 0 || m.FreeBytes >= bytes) {
			fit = append(fit, i)
		}
	}
	slices.SortFunc(fit, func(a, b int) int {
		if d := room[b].FreeSlots - room[a].FreeSlots; d != 0 {
			return d
		}
		if room[a].ID < room[b].ID {
			return -1
		}
		return 1
	})
	return fit
}
