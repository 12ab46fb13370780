// An ordinary program on the official openai SDK, with nothing set: node openai_chat.mjs [stream] TEXT
import OpenAI from "openai";

const args = process.argv.slice(2);
const stream = args[0] === "stream" && args.shift() === "stream";
const model = process.env.MODEL || "gpt-4o-mini";
const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY || "sk-lab" });
const ask = { model, messages: [{ role: "user", content: args.join(" ") }] };

try {
  if (stream) {
    for await (const part of await client.chat.completions.create({ ...ask, stream: true }))
      process.stdout.write(part.choices[0]?.delta?.content ?? "");
    process.stdout.write("\n");
  } else {
    console.log((await client.chat.completions.create(ask)).choices[0].message.content);
  }
} catch (e) {
  console.error(`${e.constructor.name}: ${e.message}`);
  process.exit(1);
}
