// Prints results as a table of types and forks.

const marks = {ok: "ok", refused: "refused", text: "text", failed: "FAILED"};

// table has a row for each type and a column for each fork. What belongs to no fork stands in the first column.
export function table(results, forks) {
  const types = [...new Set(results.map((r) => r.type))];
  const width = Math.max(...types.map((t) => t.length));
  const cell = (type, fork, i) => {
    const found = results.filter((r) => r.type === type && (r.fork === fork || (r.fork === "" && i === 0)));
    const worst = found.find((r) => r.result === "failed") ?? found[0];
    return (worst ? marks[worst.result] : "").padEnd(10);
  };
  const row = (name, cells) => `  ${name.padEnd(width)}  ${cells.join("")}`.trimEnd();
  return [row("", forks.map((f) => f.padEnd(10))), ...types.map((t) => row(t, forks.map((f, i) => cell(t, f, i))))].join("\n");
}
