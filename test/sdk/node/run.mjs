// Run the exported functions of one file, say how each went, and fail if one did.
//
// node run.mjs FILE_checks.mjs [NAME...]   with GALERNE_TEST_URL and GALERNE_TEST_KEYED_URL set
const [file, ...wanted] = process.argv.slice(2);
const checks = await import("./" + file);
let passed = 0;
const failed = [];
for (const [name, check] of Object.entries(checks)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const began = performance.now();
  try {
    await check();
    passed++;
    console.log(`ok    ${name} (${((performance.now() - began) / 1000).toFixed(2)} s)`);
  } catch (e) {
    failed.push(name);
    console.log(`FAIL  ${name}\n${e.stack ?? e}`);
  }
}
if (failed.length > 0) {
  console.error(`${failed.length} checks failed: ${failed.join(", ")}`);
  process.exit(1);
}
console.log(`${passed} checks passed`);
process.exit(0);
