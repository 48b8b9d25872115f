package spec

// Features is a job that computes the columns of features from raw rows.
type Features struct {
	Input     string   `json:"input" spec:"required,path,where=where,explode=explode" doc:"the Parquet files to read: a file, a glob or a folder"`
	Where     Where    `json:"where,omitempty" doc:"which rows of the input count, such as amount > 100 and country in ('DE', 'FR'); all by default"`
	Explode   string   `json:"explode,omitempty" doc:"a list of the input, by its name: there is a row for each of its elements"`
	Output    string   `json:"output" spec:"required,path" doc:"the folder to write"`
	Target    string   `json:"target,omitempty" doc:"the column to be predicted later; only target_encode may read it"`
	Entity    Entity   `json:"entity,omitempty" doc:"the column that says whom lags and windows belong to, or a list of columns that say it together"`
	Timestamp string   `json:"timestamp,omitempty" doc:"the column that orders the rows of an entity"`
	Steps     Steps    `json:"features" spec:"required" doc:"the list of features"`
	Keep      []string `json:"keep" doc:"input columns to copy to the output; by default entity, timestamp and target"`
	Seed      uint64   `json:"seed" default:"42" doc:"the seed of the folds of target_encode"`
	Workers   Workers  `json:"workers" spec:"effort" doc:"how many workers may share the job"`
}

// Train is a job that fits a model.
type Train struct {
	Experiment     string         `json:"experiment" default:"default" doc:"the group of runs that this one is compared with"`
	Input          string         `json:"input" spec:"required,path,where=where,explode=explode" doc:"the rows to learn from: the output of a features job, or raw Parquet files"`
	Where          Where          `json:"where,omitempty" doc:"which rows of the input count, such as amount > 100 and country in ('DE', 'FR'); all by default"`
	Explode        string         `json:"explode,omitempty" doc:"a list of the input, by its name: there is a row for each of its elements"`
	Features       *FeatureSource `json:"features,omitempty" doc:"features to compute on the way: the path of a features spec, or a list of features; they are fitted on the training rows only"`
	Entity         Entity         `json:"entity,omitempty" doc:"with a list of features: the column that says whom lags and windows belong to, or a list of columns that say it together"`
	Timestamp      string         `json:"timestamp,omitempty" doc:"with a list of features: the column that orders the rows of an entity"`
	Columns        Columns        `json:"columns" doc:"which columns the model learns from; by default all features, or all columns of raw data but target, split column, entity, timestamps and dates"`
	Target         string         `json:"target" spec:"required" doc:"the column to predict"`
	Task           Task           `json:"task" spec:"required,enum=binary|multiclass|regression" doc:"what is predicted: binary, multiclass or regression"`
	Weight         string         `json:"weight,omitempty" doc:"a column of numbers, at least 0, that says how much each row counts, in training and in every metric; no feature"`
	Split          Split          `json:"split" doc:"which rows train, which validate and which test"`
	Slices         []string       `json:"slices,omitempty" spec:"least=1,most=4" doc:"columns of the input; the model is measured for each of their values, too"`
	Model          Model          `json:"model" spec:"required" doc:"the model and its hyper-parameters"`
	Optimizer      Optimizer      `json:"optimizer" doc:"how the weights follow the gradient"`
	Scheduler      Scheduler      `json:"scheduler" doc:"how the learning rate changes"`
	Epochs         int            `json:"epochs" spec:"min=1,max=100000" default:"20" doc:"the most passes over the training rows"`
	BatchSize      int            `json:"batch_size" spec:"min=1,max=1048576" default:"1024" doc:"rows per update, over all workers together"`
	Loss           *Loss          `json:"loss,omitempty" doc:"of a regression, what a network minimises: mse, the squared error, by default; mae; huber, or {huber: DELTA}, in the unit of the target; or {quantile: Q}, the pinball loss, so that it predicts a quantile; of a linear model mse or huber"`
	ClassWeights   *ClassWeights  `json:"class_weights,omitempty" doc:"how much the rows of each class count in the loss: balanced, in inverse proportion to their number; or a mapping of class to weight, 1 where none is given"`
	LabelSmoothing float64        `json:"label_smoothing,omitempty" spec:"min=0,below=1" doc:"the share of each row's label that is spread over all classes alike"`
	EarlyStopping  *EarlyStopping `json:"early_stopping,omitempty" doc:"when to stop before the last epoch"`
	Seed           uint64         `json:"seed" default:"42" doc:"the seed of weights, shuffling, dropout and the folds of target_encode"`
	Resume         string         `json:"resume,omitempty" spec:"effort" doc:"a train run, by its id, whose last checkpoint training goes on from; the result is that of training from the start"`
	Workers        Workers        `json:"workers" spec:"effort" doc:"how many workers may train together"`
	Threads        int            `json:"threads" spec:"min=0,max=1024,effort" default:"0" doc:"threads of each worker; 0 means one per core"`
}

// Predict is a job that applies a model to rows.
type Predict struct {
	Model   string   `json:"model" spec:"required,path" doc:"the model: runs:/ID/model, models:/NAME/VERSION, models:/NAME@ALIAS, or a file"`
	Input   string   `json:"input" spec:"required,path,where=where,explode=explode" doc:"the Parquet files to read: a file, a glob or a folder"`
	Where   Where    `json:"where,omitempty" doc:"which rows of the input count, such as amount > 100 and country in ('DE', 'FR'); all by default"`
	Explode string   `json:"explode,omitempty" doc:"a list of the input, by its name: there is a row for each of its elements"`
	Output  string   `json:"output" spec:"required,path" doc:"the folder to write"`
	Keep    []string `json:"keep,omitempty" spec:"least=1" doc:"input columns to copy to the output; by default all"`
	Workers Workers  `json:"workers" spec:"effort" doc:"how many workers may share the job"`
}

// Drift is a job that compares two sets of rows. Exactly one of Reference and
// Model is set.
type Drift struct {
	Reference        string            `json:"reference,omitempty" spec:"path,where=reference_where,explode=reference_explode" doc:"the Parquet files to compare with"`
	ReferenceWhere   Where             `json:"reference_where,omitempty" doc:"which rows of the reference count; all by default"`
	ReferenceExplode string            `json:"reference_explode,omitempty" doc:"a list of the reference, by its name: there is a row for each of its elements"`
	Model            string            `json:"model,omitempty" spec:"path" doc:"a model, whose training rows are compared with"`
	Current          string            `json:"current" spec:"required,path,where=current_where,explode=current_explode" doc:"the Parquet files in question"`
	CurrentWhere     Where             `json:"current_where,omitempty" doc:"which rows of current count; all by default"`
	CurrentExplode   string            `json:"current_explode,omitempty" doc:"a list of current, by its name: there is a row for each of its elements"`
	Where            Where             `json:"where,omitempty" doc:"which rows count, of reference and current alike"`
	Columns          Columns           `json:"columns" doc:"which columns are compared; by default all"`
	Target           string            `json:"target,omitempty" doc:"the column that models predict, reported as target drift"`
	Method           Method            `json:"method" spec:"enum=auto|psi|ks|wasserstein|js|chi2" default:"auto" doc:"how columns are compared"`
	Methods          map[string]Method `json:"methods,omitempty" spec:"enum=auto|psi|ks|wasserstein|js|chi2" doc:"how single columns are compared"`
	Threshold        Threshold         `json:"threshold" doc:"how much is drift"`
	Report           string            `json:"report,omitempty" spec:"path" doc:"the HTML file to write"`
	Publish          bool              `json:"publish" default:"false" doc:"whether an event is published when drift is found"`
	Workers          Workers           `json:"workers" spec:"effort" doc:"how many workers may share the job"`
}

// Task is what a model predicts.
type Task string

// The tasks.
const (
	Binary     Task = "binary"     // one of two classes
	Multiclass Task = "multiclass" // one of three or more classes
	Regression Task = "regression" // a number
)

// SplitBy is a way to split rows.
type SplitBy string

// The ways to split rows.
const (
	ByTime   SplitBy = "time"   // by the order of Column: the first rows train, the last test
	ByHash   SplitBy = "hash"   // by a hash of Column and Seed: equal values stay together
	ByRandom SplitBy = "random" // by a draw for each row from Seed
	ByColumn SplitBy = "column" // Column names the part: train, validation or test
)

// Split says which rows train, which validate and which test. The training
// share is what Validation and Test leave; both are 0 when By is ByColumn.
type Split struct {
	By         SplitBy `json:"by" spec:"enum=time|hash|random|column" default:"random" doc:"how rows are dealt out: in order of a column (time), by a hash of a column (hash), at random, or by a column that names the part (column)"`
	Column     string  `json:"column,omitempty" doc:"the column that by means"`
	Validation float64 `json:"validation" spec:"min=0,below=1" default:"0.1" doc:"the share of rows that choose the best epoch"`
	Test       float64 `json:"test" spec:"min=0,below=1" default:"0.2" doc:"the share of rows that are kept for the final metrics"`
	Seed       uint64  `json:"seed" doc:"the seed of hash and random; by default the spec's seed"`
}

// Model is what is fitted: a multi-layer perceptron, or a linear model, of which only
// L1 and L2 are.
type Model struct {
	Type       string      `json:"type" spec:"required,enum=mlp|linear" doc:"the kind of model: mlp, a network; or linear: logistic regression, or least squares for a number"`
	Hidden     []int       `json:"hidden" spec:"min=1,max=65536,most=64" default:"[64, 32]" doc:"the width of each hidden layer; an empty list makes a linear model"`
	Activation string      `json:"activation" spec:"enum=relu|tanh|sigmoid|gelu|silu" default:"relu" doc:"what hidden layers apply to their sums: relu, tanh, sigmoid, gelu (the exact form, by erf) or silu"`
	Embeddings []Embedding `json:"embeddings,omitempty" doc:"categorical columns whose categories are learned as rows of numbers"`
	Norm       string      `json:"norm,omitempty" spec:"enum=layer|batch" doc:"what hidden layers do to their sums before the activation: layer normalises those of each row, batch those of each unit over the rows of a shard of the batch; by default nothing"`
	Residual   bool        `json:"residual,omitempty" doc:"whether a hidden layer that is as wide as the one before it adds what it is given to what it makes"`
	L2         *float64    `json:"l2,omitempty" spec:"min=0" doc:"of linear: the penalty on squared weights, beside the sum of the rows' losses (scikit-learn's alpha of Ridge, 1/C of LogisticRegression); 1 by default"`
	L1         *float64    `json:"l1,omitempty" spec:"min=0" doc:"of linear: the penalty on the weights' absolute values, which makes those 0 that say little; beside l2, which is 1 unless given; by default none"`
	Dropout    float64     `json:"dropout" spec:"min=0,below=1" default:"0" doc:"the share of hidden values dropped while training"`
}

// Embedding is a column of categories that a network has a table of.
type Embedding struct {
	Column string `json:"column" spec:"required" doc:"a column that the model learns from, of texts, whole numbers or truths"`
	Size   int    `json:"size" spec:"required,min=1,max=1024" doc:"how many numbers each category has"`
}

// Optimizer is how the weights follow the gradient.
type Optimizer struct {
	Type         string  `json:"type" spec:"enum=adamw|adam|sgd" default:"adamw" doc:"the algorithm: adamw, adam (weight decay in the gradient) or sgd"`
	LearningRate float64 `json:"learning_rate" spec:"above=0,max=10" default:"0.001" doc:"the size of a step"`
	WeightDecay  float64 `json:"weight_decay" spec:"min=0,max=10" default:"0.01" doc:"of adamw, the share, times the learning rate, by which weights shrink at each step; of adam and sgd, where it is 0 by default, what of the weights is added to the gradient"`
	Beta1        float64 `json:"beta1" spec:"min=0,below=1" default:"0.9" doc:"of adamw and adam, the decay of the mean of gradients"`
	Beta2        float64 `json:"beta2" spec:"min=0,below=1" default:"0.999" doc:"of adamw and adam, the decay of the mean of squared gradients"`
	Epsilon      float64 `json:"epsilon" spec:"above=0,max=1" default:"1e-8" doc:"of adamw and adam, what is added to the root of the second mean"`
	Momentum     float64 `json:"momentum" spec:"min=0,below=1" default:"0" doc:"of sgd, the decay of the sum of gradients that the weights follow; 0 is none"`
	Nesterov     bool    `json:"nesterov" default:"false" doc:"of sgd with momentum, whether it is Nesterov's"`
	ClipNorm     float64 `json:"clip_norm" spec:"min=0,max=1000000" default:"0" doc:"shrink gradients whose norm over all weights is larger; 0 means never"`
	ClipValue    float64 `json:"clip_value" spec:"min=0,max=1000000" default:"0" doc:"bring each element of the gradient to within so far of 0; 0 means as it is"`
	Gradient     string  `json:"gradient,omitempty" spec:"enum=bf16" doc:"bf16 rounds the mean gradient to bfloat16, which workers on other machines are then sent in half of the bytes; by default it is float32"`
}

// Scheduler is how the learning rate changes.
type Scheduler struct {
	Type             string  `json:"type" spec:"enum=constant|reduce_on_plateau|cosine|step|exponential" default:"constant" doc:"constant; reduce_on_plateau: multiply by factor when the validation loss has not improved for patience epochs; cosine: fall to min_learning_rate at the last epoch; step: multiply by factor every so many epochs; exponential: after each"`
	Interval         string  `json:"interval" spec:"enum=epoch|iteration" default:"epoch" doc:"what cosine, step and exponential count: epochs, or iterations (updates)"`
	Factor           float64 `json:"factor" spec:"above=0,below=1" default:"0.1" doc:"what reduce_on_plateau, step and exponential multiply the learning rate by"`
	Every            int     `json:"every" spec:"min=1,max=1000000000" default:"10" doc:"how many intervals apart step does so"`
	Patience         int     `json:"patience" spec:"min=0,max=100000" default:"10" doc:"epochs without improvement that reduce_on_plateau lets pass"`
	MinLearningRate  float64 `json:"min_learning_rate" spec:"min=0,max=10" default:"0" doc:"the learning rate that reduce_on_plateau stops at, and cosine ends at"`
	WarmupIterations int     `json:"warmup_iterations" spec:"min=0,max=1000000000" default:"0" doc:"updates over which the learning rate first rises to its full size; the scheduler counts from there"`
	WarmupEpochs     int     `json:"warmup_epochs" spec:"min=0,max=100000" default:"0" doc:"the same in epochs; it rises at each update in them"`
	WarmupStart      float64 `json:"warmup_start" spec:"min=0,max=1" default:"0.3333333333333333" doc:"the share of the learning rate that a warm-up starts from"`
}

// EarlyStopping ends training when a metric of the validation rows no longer
// improves; the best epoch's weights are kept.
type EarlyStopping struct {
	Metric   string  `json:"metric" default:"loss" doc:"the metric of the validation rows to watch"`
	Patience int     `json:"patience" spec:"min=1,max=100000" default:"5" doc:"epochs without improvement that are let pass"`
	MinDelta float64 `json:"min_delta" spec:"min=0" default:"0" doc:"the least change that counts as an improvement"`
}

// Workers is how many workers may share a job. It cannot change the result.
type Workers struct {
	Min int `json:"min" spec:"min=1,max=10000" default:"1" doc:"wait for so many before starting"`
	Max int `json:"max" spec:"min=0,max=10000" default:"0" doc:"never use more; 0 means as many as there are"`
}

// Method is a way to compare two columns.
type Method string

// Columns chooses columns by name.
type Columns struct {
	Include []string `json:"include,omitempty" spec:"least=1" doc:"these columns only"`
	Exclude []string `json:"exclude,omitempty" doc:"all columns but these"`
}

// Threshold is how much is drift.
type Threshold struct {
	Share float64 `json:"share" spec:"above=0,max=1" default:"0.5" doc:"the share of columns that must have drifted for the whole to count as drifted"`
}
