// Validates events under the published schemas with ajv, their envelopes with the CloudEvents SDK, and the
// AsyncAPI document with its own parser: node validate.mjs SCHEMAS EVENTS HOOKSWITCH
//
// One event of each family is also validated under nothing but what `hookswitch schema TYPE` prints.
import { Parser } from '@asyncapi/parser';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { CloudEvent } from 'cloudevents';
import { execFileSync } from 'node:child_process';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [folder, events, hookswitch] = process.argv.slice(2);
const fail = (problem) => { console.error(problem); process.exit(1); };

const newAjv = () => addFormats(new Ajv2020({ strict: true, validateFormats: true }));
const ajv = newAjv();
const types = new Map();
const isSchema = (path) => /^(data|events)\/.*\.json$/.test(path);
for (const path of readdirSync(folder, { recursive: true }).filter(isSchema)) {
  const schema = JSON.parse(readFileSync(`${folder}/${path}`, 'utf8'));
  ajv.addSchema(schema);
  if (path.startsWith('events/')) types.set(schema.title, schema.$id);
}

const families = new Set();
let count = 0;
for await (const line of createInterface({ input: createReadStream(events) })) {
  const event = JSON.parse(line);
  const validate = ajv.getSchema(types.get(event.type));
  if (!validate(event)) fail(`ajv: ${ajv.errorsText(validate.errors)}\n${line}`);
  if (!ajv.getSchema(event.dataschema)?.(event.data)) fail(`ajv: dataschema does not fit\n${line}`);
  if (!families.has(event.dataschema)) {
    families.add(event.dataschema);
    const alone = newAjv().compile(JSON.parse(execFileSync(hookswitch, ['schema', event.type])));
    if (!alone(event)) fail(`ajv, one document: ${JSON.stringify(alone.errors)}\n${line}`);
    if (alone({ ...event, data: 7 })) fail(`ajv, one document: the data of ${event.type} may be anything`);
  }
  // Strict: the SDK checks the attributes and throws.
  new CloudEvent(event, true);
  count += 1;
}
if (count === 0) fail('no events');
const alone = `${families.size} under one document`;
console.log(`${count} events are valid under ajv and the CloudEvents SDK of JavaScript, ${alone}`);

const { document, diagnostics } = await new Parser().parse(readFileSync(`${folder}/asyncapi.json`, 'utf8'));
const errors = diagnostics.filter(({ severity }) => severity === 0);
if (!document || errors.length > 0) fail(JSON.stringify(errors.slice(0, 10), null, 1));
if (document.messages().length !== types.size) fail(`AsyncAPI has ${document.messages().length} messages`);
console.log(`the AsyncAPI ${document.version()} document is valid, with ${types.size} messages`);
