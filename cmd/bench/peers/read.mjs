// DuckDB's or Polars' side of the read and write benches. One JSON request a line:
//   mode "stream": decode the columns (all if none are named) of the rows that
//     match `where`, and add up what they hold, so that nothing can be left out
//   mode "keep":   read them into a table in memory (Polars)
//   mode "write":  write the table, which is in memory, as Parquet with zstd
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const threads = process.env.BENCH_THREADS ?? "1";

async function duckdb() {
  const { DuckDBInstance } = require("@duckdb/node-api");
  const db = await (await DuckDBInstance.create(":memory:", { threads })).connect();
  const rows = async (sql) => (await db.runAndReadAll(sql)).getRows();
  const types = {};
  let loaded = "";
  return async ({ mode, path, columns, where, out }) => {
    if (mode === "write") {
      if (loaded !== path) {
        await db.run(`CREATE OR REPLACE TABLE t AS SELECT * FROM read_parquet('${path}')`);
        loaded = path;
      }
      return () => db.run(`COPY t TO '${out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)`);
    }
    types[path] ??= await rows(`DESCRIBE SELECT * FROM read_parquet('${path}')`);
    // count("x") of a column without nulls reads nothing of it, and max("x") may
    // come from statistics: a sum has to see every value.
    const sum = ([name, type]) => {
      if (type === "VARCHAR") return `sum(strlen("${name}"))`;
      if (type.startsWith("TIMESTAMP")) return `sum(epoch_us("${name}"))`;
      return `sum("${name}")`;
    };
    const sums = types[path].filter(([name]) => !columns.length || columns.includes(name)).map(sum);
    const condition = where ? ` WHERE ${where}` : "";
    return () => rows(`SELECT ${sums.join(", ")} FROM read_parquet('${path}')${condition}`);
  };
}

async function polars() {
  const pl = require("nodejs-polars");
  const tables = {};
  return async ({ mode, path, columns, where, out }) => {
    if (mode === "write") {
      tables[path] ??= pl.readParquet(path);
      return () => tables[path].writeParquet(out, { compression: "zstd" });
    }
    if (mode === "keep") {
      const options = columns.length ? { columns } : {};
      return () => pl.readParquet(path, options);
    }
    const schema = pl.readParquet(path, { nRows: 1 }).schema;
    const names = columns.length ? columns : Object.keys(schema);
    const sum = (name) => {
      const type = String(schema[name]);
      if (/utf8|string/i.test(type)) return pl.col(name).max(); // it has no quicker way to look at all strings
      return (/datetime/i.test(type) ? pl.col(name).cast(pl.Int64) : pl.col(name)).sum();
    };
    return () => {
      let frame = pl.scanParquet(path);
      if (where) frame = frame.filter(condition(pl, where));
      return frame.select(...names.map(sum)).collectSync();
    };
  };
}

// condition is what the benches ask for: COLUMN >= NUMBER, or >= TIMESTAMP 'TIME'.
function condition(pl, where) {
  const [, name, time, number] = /^(\w+) >= (?:timestamp '([^']+)'|(.+))$/i.exec(where);
  if (number) return pl.col(name).gtEq(pl.lit(Number(number)));
  return pl.col(name).cast(pl.Int64).gtEq(pl.lit(BigInt(Date.parse(time.replace(" ", "T") + "Z")) * 1000n));
}

const prepare = await { duckdb, polars }[process.argv[2]]();
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const request = JSON.parse(line);
    if (request.mode === "ready") {
      console.log(JSON.stringify({ value: 1 }));
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
