// An ordinary program on the official Anthropic SDK: node anthropic_messages.mjs [stream] TEXT
import Anthropic from "@anthropic-ai/sdk";

const args = process.argv.slice(2);
const stream = args[0] === "stream" && args.shift() === "stream";
const client = new Anthropic({ apiKey: process.env.ANTHROPIC_API_KEY || "sk-ant-lab" });
const ask = {
  model: process.env.MODEL || "claude-sonnet-4-20250514",
  max_tokens: 256,
  messages: [{ role: "user", content: args.join(" ") }],
};

try {
  if (stream) {
    const s = client.messages.stream(ask);
    s.on("text", (text) => process.stdout.write(text));
    await s.finalMessage();
    process.stdout.write("\n");
  } else {
    console.log((await client.messages.create(ask)).content[0].text);
  }
} catch (e) {
  console.error(`${e.constructor.name}: ${e.message}`);
  process.exit(1);
}
