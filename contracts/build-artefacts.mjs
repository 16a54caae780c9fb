#!/usr/bin/env node
// Compiles the sources with the pinned npm compiler and writes what the Python package deploys from:
// ledger/data/contracts/<Contract>.json and roles.json. The same sources and settings give the same bytes.
//   node build-artefacts.mjs           write
//   node build-artefacts.mjs --check   exit 1 when the committed files are not what the sources build
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const target = join(root, "..", "ledger", "data", "contracts");
const solc = createRequire(import.meta.url)("solc");

const CONTRACTS = {
  RewardsLedger: "src/RewardsLedger.sol",
  PolicyRegistry: "src/PolicyRegistry.sol",
  CarbonVault: "src/CarbonVault.sol",
  AthToken: "src/AthToken.sol",
  AccessManager: "node_modules/@openzeppelin/contracts/access/manager/AccessManager.sol",
};

/** Settings live in foundry.toml alone; what forge tests is what is deployed. */
function readSettings() {
  const toml = readFileSync(join(root, "foundry.toml"), "utf8");
  const value = (key) => {
    const found = toml.match(new RegExp(`^${key} = (.+)$`, "m"));
    if (!found) throw new Error(`foundry.toml: no line "${key} = …"`);
    return JSON.parse(found[1]);
  };
  return {
    remappings: value("remappings"),
    optimizer: { enabled: value("optimizer"), runs: value("optimizer_runs") },
    evmVersion: value("evm_version"),
    metadata: { bytecodeHash: value("bytecode_hash"), appendCBOR: value("cbor_metadata") },
  };
}

/** Every file a contract needs, by the name the compiler gives it: its path inside this folder. */
function collectSources(entry, remappings, sources = new Map()) {
  if (sources.has(entry)) return sources;
  const content = readFileSync(join(root, entry), "utf8");
  sources.set(entry, content);
  for (const [, path] of content.matchAll(/^import\s(?:[^;"]*\sfrom\s)?"([^"]+)";/gm)) {
    let resolved = path.startsWith(".") ? join(dirname(entry), path) : path;
    for (const line of remappings) {
      const [prefix, folder] = line.split("=");
      if (resolved.startsWith(prefix)) resolved = folder + resolved.slice(prefix.length);
    }
    collectSources(resolved, remappings, sources);
  }
  return sources;
}

function hashSources(sources, settings) {
  const hash = createHash("sha256");
  for (const name of [...sources.keys()].sort()) {
    hash.update(`${name}\0${createHash("sha256").update(sources.get(name)).digest("hex")}\n`);
  }
  return `0x${hash.update(JSON.stringify(settings)).digest("hex")}`;
}

function compile(settings) {
  const all = new Map();
  for (const entry of Object.values(CONTRACTS)) collectSources(entry, settings.remappings, all);
  const outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode", "evm.methodIdentifiers", "storageLayout"];
  const input = {
    language: "Solidity",
    sources: Object.fromEntries([...all].sort().map(([name, content]) => [name, { content }])),
    settings: { ...settings, outputSelection: { "*": { "*": outputs } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const errors = (output.errors ?? []).filter((item) => item.severity === "error");
  if (errors.length) throw new Error(errors.map((item) => item.formattedMessage).join("\n"));
  return output.contracts;
}

/** Names for the slots that are read in batches; the compiler numbers immutables and types by syntax tree. */
function storageOf(layout) {
  return Object.fromEntries(layout.storage.map(({ label, slot, offset }) => [label, { slot: Number(slot), offset }]));
}

function immutablesOf(references) {
  const places = Object.values(references ?? {}).flat();
  return places.sort((a, b) => a.start - b.start);
}

function render(value) {
  return `${JSON.stringify(value, null, 1)}\n`;
}

function buildArtefacts() {
  const settings = readSettings();
  const compiled = compile(settings);
  const files = new Map();
  for (const [contractName, entry] of Object.entries(CONTRACTS)) {
    const { abi, evm, storageLayout } = compiled[entry][contractName];
    files.set(
      `${contractName}.json`,
      render({
        contractName,
        abi,
        bytecode: `0x${evm.bytecode.object}`,
        deployedBytecode: `0x${evm.deployedBytecode.object}`,
        immutableReferences: immutablesOf(evm.deployedBytecode.immutableReferences),
        storage: storageOf(storageLayout),
        compiler: solc.version(),
        settings,
        sourceHash: hashSources(collectSources(entry, settings.remappings), settings),
      }),
    );
  }
  files.set("roles.json", render(rolesWithSelectors(compiled)));
  return files;
}

/** roles.json of this folder with the selector that the AccessManager needs beside each function. */
function rolesWithSelectors(compiled) {
  const { roles, functions } = JSON.parse(readFileSync(join(root, "roles.json"), "utf8"));
  const targets = {};
  for (const [contractName, wanted] of Object.entries(functions)) {
    const selectors = compiled[CONTRACTS[contractName]][contractName].evm.methodIdentifiers;
    targets[contractName] = Object.entries(wanted).map(([name, role]) => {
      const matches = Object.keys(selectors).filter((signature) => signature.startsWith(`${name}(`));
      if (matches.length !== 1) throw new Error(`roles.json: ${contractName} has ${matches.length} functions ${name}`);
      if (!(role in roles)) throw new Error(`roles.json: ${contractName}.${name} names no role: ${role}`);
      return { name, signature: matches[0], selector: `0x${selectors[matches[0]]}`, role };
    });
  }
  return { roles, functions: targets };
}

function differences(files) {
  const found = [];
  for (const [name, content] of files) {
    const path = join(target, name);
    if (!existsSync(path)) found.push(`${name} is missing`);
    else if (readFileSync(path, "utf8") !== content) found.push(`${name} is not what the sources build`);
  }
  const strays = existsSync(target) ? readdirSync(target).filter((name) => name.endsWith(".json") && !files.has(name)) : [];
  return [...found, ...strays.map((name) => `${name} is not built by anything`)];
}

const files = buildArtefacts();
if (process.argv.includes("--check")) {
  const found = differences(files);
  for (const line of found) console.error(`artefacts.stale: ledger/data/contracts/${line}`);
  if (found.length) console.error("Next: npm run artefacts (in contracts/), and commit what it writes");
  process.exitCode = found.length ? 1 : 0;
} else {
  mkdirSync(target, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(target, name), content);
  console.log(`${files.size} files written to ledger/data/contracts`);
}
