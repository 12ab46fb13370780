// The Responses API on the official openai SDK: node openai_responses.mjs [stream] TEXT
import OpenAI from "openai";

const args = process.argv.slice(2);
const stream = args[0] === "stream" && args.shift() === "stream";
const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY || "sk-lab" });
const ask = { model: process.env.MODEL || "gpt-4o-mini", input: args.join(" ") };

try {
  if (stream) {
    for await (const event of await client.responses.create({ ...ask, stream: true }))
      if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
    process.stdout.write("\n");
  } else {
    console.log((await client.responses.create(ask)).output_text);
  }
} catch (e) {
  console.error(`${e.constructor.name}: ${e.message}`);
  process.exit(1);
}
