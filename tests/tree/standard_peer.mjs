// Asks the npm package @openzeppelin/merkle-tree: one JSON document of trees on stdin, one on stdout.
// Input: [{values, leafEncoding}] builds a tree; [{dump}] loads one and validates it.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../../contracts/package.json", import.meta.url));
const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ values, leafEncoding, dump }) => {
  try {
    const tree = dump ? StandardMerkleTree.load(dump) : StandardMerkleTree.of(values, leafEncoding);
    const proofs = [...tree.entries()].map(([index]) => tree.getProof(index));
    return { root: tree.root, dump: tree.dump(), proofs };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
});
process.stdout.write(JSON.stringify(answers));
