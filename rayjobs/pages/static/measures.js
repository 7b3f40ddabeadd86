// What the numbers of a run are: the words that a tile carries, and beside them unit, and on which bars it was measured.
"use strict";

const OUT_OF_SAMPLE = "out of sample, net of costs", NEWEST = "newest update";
const MEASURES = {
  sharpe: ["Sharpe ratio", `annualised, ${OUT_OF_SAMPLE}`],
  total_return: ["Total return", OUT_OF_SAMPLE],
  annual_return: ["Annual return", `compounded, ${OUT_OF_SAMPLE}`],
  max_drawdown: ["Max. drawdown", "from the highest equity before it, out of sample"],
  volatility: ["Volatility", "standard deviation of returns, annualised"],
  dsr: ["Deflated Sharpe ratio", "a probability, from 0 to 1: of skill, after all looks were counted"],
  num_trades: ["Trades", "closed, out of sample"],
  annual_turnover: ["Turnover", "traded value over equity, a year"],
  progress: ["Progress", "of the whole job"],
  seconds_left: ["Time left", "at the present speed"],
  folds_begun: ["Folds begun", ""],
  trials_ended: ["Trials ended", "pruned and failed ones among them"],
  num_trials: ["Trials in all", ""],
  approx_kl: ["KL divergence", `nats, ${NEWEST}`],
  clip_fraction: ["Clip fraction", `share of samples, ${NEWEST}`],
  explained_variance: ["Explained variance", `of the value function, at most 1, ${NEWEST}`],
  entropy: ["Entropy", `of the policy, nats, ${NEWEST}`],
  learning_rate: ["Learning rate", NEWEST],
  validation_sharpe: ["Validation Sharpe ratio", "per bar, not annualised, on bars kept from training"],
};
const OBJECTIVES = {  // what a study's score is made of, on each validation fold
  sharpe: "annualised Sharpe ratio", sortino: "annualised Sortino ratio", calmar: "Calmar ratio", total_return: "total return", annual_return: "annual return",
  max_drawdown: "maximum drawdown", cvar_95: "conditional value at risk of a bar (95 %)", volatility: "annualised volatility", annual_turnover: "turnover a year",
};
const objective = (name) => OBJECTIVES[name] || words(name);
const meaning = (name) => MEASURES[name] || [words(name), ""];
function tile(name, value, beside, mood) {
  return el("div", { class: "tile" }, el("div", { class: "name", text: name }), el("div", { class: `value ${mood || ""}`.trim(), text: value }), beside ? el("div", { class: "beside", text: beside }) : null);
}
