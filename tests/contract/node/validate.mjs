// Validates events under the published schemas with ajv, their envelopes with the CloudEvents SDK, and the
// AsyncAPI document with its own parser: node validate.mjs SCHEMAS EVENTS
import { Parser } from '@asyncapi/parser';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { CloudEvent } from 'cloudevents';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [folder, events] = process.argv.slice(2);
const fail = (problem) => { console.error(problem); process.exit(1); };

const ajv = new Ajv2020({ strict: true, validateFormats: true });
addFormats(ajv);
const types = new Map();
const isSchema = (path) => /^(data|events)\/.*\.json$/.test(path);
for (const path of readdirSync(folder, { recursive: true }).filter(isSchema)) {
  const schema = JSON.parse(readFileSync(`${folder}/${path}`, 'utf8'));
  ajv.addSchema(schema);
  if (path.startsWith('events/')) types.set(schema.title, schema.$id);
}

let count = 0;
for await (const line of createInterface({ input: createReadStream(events) })) {
  const event = JSON.parse(line);
  const validate = ajv.getSchema(types.get(event.type));
  if (!validate(event)) fail(`ajv: ${ajv.errorsText(validate.errors)}\n${line}`);
  if (!ajv.getSchema(event.dataschema)?.(event.data)) fail(`ajv: dataschema does not fit\n${line}`);
  // Strict: the SDK checks the attributes and throws.
  new CloudEvent(event, true);
  count += 1;
}
if (count === 0) fail('no events');
console.log(`${count} events are valid under ajv and the CloudEvents SDK of JavaScript`);

const { document, diagnostics } = await new Parser().parse(readFileSync(`${folder}/asyncapi.json`, 'utf8'));
const errors = diagnostics.filter(({ severity }) => severity === 0);
if (!document || errors.length > 0) fail(JSON.stringify(errors.slice(0, 10), null, 1));
if (document.messages().length !== types.size) fail(`AsyncAPI has ${document.messages().length} messages`);
console.log(`the AsyncAPI ${document.version()} document is valid, with ${types.size} messages`);
