// DuckDB's or Polars' side of the features bench: the playbook's ten features of a
// file of transactions, written as Parquet with zstd. The rows are in order of
// time, and neither is asked to give them back in order (DuckDB does not).
// {"mode": "peak"} asks for the most memory that the process has had, in MB.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.cwd() + "/");
const threads = process.env.BENCH_THREADS ?? "1";

async function duckdb() {
  const { DuckDBInstance } = require("@duckdb/node-api");
  const db = await (await DuckDBInstance.create(":memory:", { threads })).connect();
  return async ({ path, out, categories }) => {
    const from = `read_parquet('${path}')`;
    const hot = categories.map((c) => `category = '${c}' AS "cat_${c}"`).join(", ");
    return () => db.run(`COPY (
      WITH t AS (FROM ${from}),
        s AS (SELECT avg(amount) AS mean, stddev_pop(amount) AS std, count(*) AS n FROM t),
        c AS (SELECT category, avg(is_fraud) AS target, count(*) AS n FROM t GROUP BY category)
      SELECT user_id, is_fraud,
        (amount - mean) / std AS amount_scaled,
        CASE WHEN amount > -1 THEN ln(1 + amount) END AS amount_log,
        CASE WHEN amount < 0 THEN NULL WHEN amount <= 100 THEN 'low' WHEN amount <= 500 THEN 'medium' WHEN amount <= 1000 THEN 'high' ELSE 'very_high' END AS amount_bucket,
        CASE WHEN transaction_count <> 0 THEN total_amount / transaction_count END AS amount_per_tx,
        amount * hour AS amount_x_hour,
        ${hot},
        c.target AS category_target_enc, c.n / s.n AS category_freq,
        hour(ts) AS ts_hour, isodow(ts) - 1 AS ts_day_of_week, month(ts) AS ts_month, isodow(ts) > 5 AS ts_is_weekend,
        sin(2 * pi() * hour(ts) / 24) AS ts_hour_sin, cos(2 * pi() * hour(ts) / 24) AS ts_hour_cos,
        lag(amount) OVER w AS amount_lag_1,
        avg(amount) OVER (PARTITION BY user_id ORDER BY ts ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) AS amount_mean_7
      FROM t CROSS JOIN s LEFT JOIN c USING (category)
      WINDOW w AS (PARTITION BY user_id ORDER BY ts)
    ) TO '${out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)`);
  };
}

async function polars() {
  const pl = require("nodejs-polars");
  const c = pl.col;
  return async ({ path, out, categories, rows }) => {
    const hour = c("ts").dt.hour().cast(pl.Float64).mul(2 * Math.PI / 24);
    const bucket = pl.when(c("amount").lt(0)).then(pl.lit(null))
      .when(c("amount").ltEq(100)).then(pl.lit("low")).when(c("amount").ltEq(500)).then(pl.lit("medium"))
      .when(c("amount").ltEq(1000)).then(pl.lit("high")).otherwise(pl.lit("very_high"));
    return () => {
      pl.scanParquet(path).select(
        c("user_id"), c("is_fraud"),
        c("amount").minus(c("amount").mean()).divideBy(c("amount").std()).alias("amount_scaled"),
        c("amount").log1p().alias("amount_log"),
        bucket.alias("amount_bucket"),
        pl.when(c("transaction_count").neq(0)).then(c("total_amount").divideBy(c("transaction_count"))).otherwise(pl.lit(null)).alias("amount_per_tx"),
        c("amount").multiplyBy(c("hour")).alias("amount_x_hour"),
        ...categories.map((k) => c("category").eq(pl.lit(k)).alias("cat_" + k)),
        c("is_fraud").mean().over("category").alias("category_target_enc"),
        c("category").count().over("category").divideBy(rows).alias("category_freq"),
        c("ts").dt.hour().alias("ts_hour"), c("ts").dt.weekday().minus(1).alias("ts_day_of_week"), c("ts").dt.month().alias("ts_month"),
        c("ts").dt.weekday().gt(5).alias("ts_is_weekend"), hour.sin().alias("ts_hour_sin"), hour.cos().alias("ts_hour_cos"),
        c("amount").shift(1).over("user_id").alias("amount_lag_1"),
        c("amount").shift(1).rollingMean({ windowSize: 7, minPeriods: 1, weights: undefined }).over("user_id").alias("amount_mean_7"),
      ).collectSync().writeParquet(out, { compression: "zstd" });
    };
  };
}

const prepare = await { duckdb, polars }[process.argv[2]]();
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const request = JSON.parse(line);
    if (request.mode === "ready") {
      console.log(JSON.stringify({ value: 1 }));
      continue;
    }
    if (request.mode === "peak") {
      const kb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
      console.log(JSON.stringify({ value: kb / 1024 }));
      continue;
    }
    const run = await prepare(request);
    const start = process.hrtime.bigint();
    await run();
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    console.log(JSON.stringify({ value: request.rows / seconds }));
  } catch (e) {
    console.log(JSON.stringify({ error: String(e) }));
  }
}
