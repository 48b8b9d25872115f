// Runs models in ONNX Runtime: node onnx.mjs CASES.json, a list of {model, inputs}
// with inputs {name: {type, width, values}}, numbers as texts or null; prints the outputs of each.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const tensor = ({ type, width, values }) => {
  const rows = values.length / width;
  const number = (v) => (v === null ? NaN : Number(v));
  const data =
    type === "string" ? values : type === "int64" ? BigInt64Array.from(values, BigInt) : type === "float32" ? Float32Array.from(values, number) : Float64Array.from(values, number);
  return new ort.Tensor(type, data, [rows, width]);
};
const all = [];
for (const { model, inputs } of JSON.parse(readFileSync(process.argv[2]))) {
  const session = await ort.InferenceSession.create(readFileSync(model));
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, tensor(t)]));
  const outputs = await session.run(feeds);
  all.push(Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, Array.from(t.data, (v) => (typeof v === "bigint" ? Number(v) : v))])));
}
console.log(JSON.stringify(all));
