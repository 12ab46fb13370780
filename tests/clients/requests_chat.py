"""An ordinary program on Debian's python3-requests: /usr/bin/python3 requests_chat.py TEXT..."""
import os
import sys

import requests

answer = requests.post(
    "https://api.openai.com/v1/chat/completions",
    headers={"Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "sk-lab")},
    json={
        "model": os.environ.get("MODEL", "gpt-4o-mini"),
        "messages": [{"role": "user", "content": " ".join(sys.argv[1:])}],
    },
    timeout=30,
)
if answer.status_code != 200:
    sys.exit("HTTP %d: %s" % (answer.status_code, answer.json()["error"]["message"]))
print(answer.json()["choices"][0]["message"]["content"])
