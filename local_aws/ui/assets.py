"""The style sheet and the script of the pages. They are files, so that pages need no inline code."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1c2330; --faint: #667085;
  --line: #e3e7ee; --link: #1a5fd0; --good: #12805c; --bad: #c0342b; --active: #9a6700; --ended: #596579; }
@media (prefers-color-scheme: dark) { :root { --back: #12151b; --card: #1a1f28; --text: #e4e8ef;
  --faint: #95a0b3; --line: #2b3340; --link: #7fb0ff; --good: #4cc38a; --bad: #ff8278; --active: #e8b339;
  --ended: #95a0b3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header { padding: 14px 28px; border-bottom: 1px solid var(--line); background: var(--card); }
header a { font-weight: 600; color: var(--text); }
header span { color: var(--faint); margin-left: 10px; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 28px 60px; }
h1 { font-size: 22px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 30px 0 10px; }
p.kind { margin: 0 0 16px; color: var(--faint); }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px;
  margin: 12px 0; }
.state { display: inline-block; padding: 1px 10px; border-radius: 99px; border: 1px solid currentColor;
  font-size: 13px; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .active { color: var(--active); }
.ended { color: var(--ended); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--faint); font-weight: 500; font-size: 13px; }
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace; }
pre.log { background: #10141b; color: #d7dee9; border-radius: 10px; padding: 14px 16px; max-height: 72vh;
  overflow-y: auto; }
/* reversed, so that the box begins with its end in view */
pre.short { max-height: 22em; display: flex; flex-direction: column-reverse; }
section > p { margin: 12px 0 6px; } section > p:first-child { margin-top: 0; }
progress { width: 110px; height: 10px; accent-color: var(--link); }
td progress { display: block; margin-top: 6px; } time { white-space: nowrap; }
.tabs a { margin-right: 16px; } .tabs .here { font-weight: 600; color: var(--text); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(250px, 1fr)); gap: 18px 26px;
  margin-bottom: 18px; }
figure { margin: 0; } figcaption { font-weight: 500; } figure p { margin: 4px 0 0; font-size: 13px; }
figure svg { display: block; width: 100%; height: 90px; border-bottom: 1px solid var(--line); }
figure polyline { fill: none; stroke: var(--link); stroke-width: 1.5; }
.faint { color: var(--faint); } summary { cursor: pointer; color: var(--faint); }
@media (max-width: 640px) { main, header { padding-left: 14px; padding-right: 14px; }
  .facts { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } table { min-width: 600px; } }
"""

#: Polls for new lines of the log and shows them as text, never as markup.
SCRIPT = """
"use strict";
const log = document.getElementById("log");
const note = document.getElementById("note");
let offset = Number(log.dataset.next);
log.scrollTop = log.scrollHeight;
async function follow() {
  let pause = 1000;
  try {
    const answer = await fetch(log.dataset.source + "?offset=" + offset, {cache: "no-store"});
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    const next = Number(answer.headers.get("x-next-offset"));
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    if (next < offset || answer.headers.get("x-offset") !== String(offset)) log.textContent = "";
    if (text) log.append(text);
    if (text && atEnd) log.scrollTop = log.scrollHeight;
    const isOver = answer.headers.get("x-job-over") === "true";
    note.textContent = isOver ? "The job has ended." : "New lines appear by themselves.";
    if (isOver && next === offset) return;
    offset = next;
    if (text) pause = 250;
  } catch (error) {
    note.textContent = "local_aws does not answer. This page tries again.";
    pause = 3000;
  }
  setTimeout(follow, pause);
}
follow();
"""
