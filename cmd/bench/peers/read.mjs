// DuckDB's or Polars' side of the read bench: rows per second read from a Parquet
// file into the engine's own columns. One JSON request a line.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const threads = process.env.BENCH_THREADS ?? "1";

async function duckdb() {
  const { DuckDBInstance } = require("@duckdb/node-api");
  const db = await (await DuckDBInstance.create(":memory:", { threads })).connect();
  // count of every column is the cheapest query that decodes them all; building a
  // table of them would add DuckDB's own compression.
  return async ({ path, columns }) => {
    let names = columns;
    if (!names.length) {
      const d = await db.runAndReadAll(`DESCRIBE SELECT * FROM read_parquet('${path}')`);
      names = d.getRows().map((r) => r[0]);
    }
    const counts = names.map((c) => `count("${c}")`).join(", ");
    const r = await db.runAndReadAll(`SELECT count(*), ${counts} FROM read_parquet('${path}')`);
    return Number(r.getRows()[0][0]);
  };
}

async function polars() {
  const pl = require("nodejs-polars");
  return async ({ path, columns }) => {
    const options = columns.length ? { columns } : {};
    return pl.readParquet(path, options).height;
  };
}

const read = await { duckdb, polars }[process.argv[2]]();
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const request = JSON.parse(line);
    const start = process.hrtime.bigint();
    const rows = await read(request);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    console.log(JSON.stringify({ value: rows / seconds }));
  } catch (e) {
    console.log(JSON.stringify({ error: String(e) }));
  }
}
