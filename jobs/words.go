package jobs

// Joining is the rank of a member that prepares to join a running gang: it reads
// what it needs, and reports when it is ready for the next generation.
const Joining = -1

// Order is a task for one member. Members and Peers are the ranks of a gang, in
// order, with the addresses of their data plane; a single task has itself only.
type Order struct {
	Epoch      uint64
	Job        ID
	Task       TaskID
	Attempt    int // of a gang: its generation
	Stage      Stage
	Index      int
	Kind       string
	Spec       []byte
	Rank       int
	Members    []MemberID
	Peers      []string
	Checkpoint string
}

// Ref names one attempt of a task.
type Ref struct {
	Epoch   uint64
	Job     ID
	Task    TaskID
	Attempt int
}

// Hello is a member's heartbeat: who it is, its room, and what it is doing. A
// member sends it at every interval and at once when it has started.
type Hello struct {
	Member   MemberID
	Slots    int
	MaxBytes int64  // memory for tasks
	DataAddr string // of its collectives
	Draining bool   // takes no new tasks
	Running  []Ref  // ordered and not reported yet
}

// Report is how an attempt went: Result, or Failure when that is set. Lost says
// that a gang's links broke: the attempt is over, but nobody is to blame.
type Report struct {
	Member  MemberID
	Ref     Ref
	Result  Result
	Failure *Failure
	Lost    bool
}

// Checkpoint says that rank 0 of a gang has saved its state.
type Checkpoint struct {
	Member MemberID
	Ref    Ref
	Output string
}

// Progress is how far an attempt is. It informs people and decides nothing.
type Progress struct {
	Member MemberID
	Ref    Ref
	Rows   int64
	Total  int64
	Text   string // such as "epoch 3 loss 0.31"
}
