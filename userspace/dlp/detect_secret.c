/*
 * Secrets with a prefix or frame of their own (reference: the vendors' token formats): they fire bare.
 * A checksum or marker inside raises the confidence and is never a gate: most tokens in public test
 * suites carry none.
 */
#include "dlp/detector.h"
#include "dlp/validate.h"

/* A token of the right shape that is not made of one or two characters. */
static int check_random(const struct match *m)
{
	return entropy_of(match_value(m)) >= 280 ? 90 : 0;
}

static int check_crc(const struct match *m)
{
	return valid_crc32_base62(match_value(m)) ? 99 : check_random(m);
}

/* "OpenAI" in base64 stands in the middle of its keys; without it others' sk- keys look the same. */
static int check_openai(const struct match *m)
{
	struct slice v = match_value(m);

	if (slice_find(v, SLICE("T3BlbkFJ")) >= 0)
		return 98;
	return entropy_of(v) >= 380 ? 70 : 0;
}

static int check_anthropic(const struct match *m)
{
	return slice_ends(match_value(m), SLICE("AA")) ? 98 : check_random(m);
}

static int check_jwt(const struct match *m)
{
	return valid_jwt(match_value(m)) ? 95 : 0;
}

#define TOKEN(type_, trigger_, value_)                                                             \
	{                                                                                          \
		.type = type_, .trigger = { trigger_ }, .value = value_, .check = check_random,    \
		.flags = DETECT_EDGE | DETECT_SECRET, .rank = 80                                   \
	}
#define TOKEN_ANYWHERE(type_, trigger_, value_)                                                    \
	{                                                                                          \
		.type = type_, .trigger = { trigger_ }, .value = value_, .check = check_random,    \
		.flags = DETECT_SECRET, .rank = 80                                                 \
	}
#define END "(?![A-Za-z0-9])"
#define END_URL "(?![A-Za-z0-9_-])"

const struct detector detect_secret[] = {
	{ .type = "GITHUB_TOKEN", .trigger = { "gh[pousr]_[A-Za-z0-9]{2}" },
	  .value = "gh[pousr]_[A-Za-z0-9]{36,255}" END, .check = check_crc,
	  .flags = DETECT_EDGE | DETECT_SECRET, .rank = 80 },
	TOKEN("GITHUB_TOKEN", "github_pat_[A-Za-z0-9]", "github_pat_[A-Za-z0-9_]{40,255}" END),
	{ .type = "NPM_TOKEN", .trigger = { "npm_[A-Za-z0-9]{2}" },
	  .value = "npm_[A-Za-z0-9]{36}" END, .check = check_crc,
	  .flags = DETECT_EDGE | DETECT_SECRET, .rank = 80 },
	TOKEN("GITLAB_TOKEN", "gl[a-z]{2}", "gl(?:pat|dt|rt|rtr|wt|ptt|ft|soat|cbt|imt|agent|oas|ffct)-"
	      "[A-Za-z0-9_-]{20,300}(?:\\.[A-Za-z0-9]{2}\\.[A-Za-z0-9]{7,9})?" END_URL),
	TOKEN("GITLAB_TOKEN", "GR1348941", "GR1348941[A-Za-z0-9_-]{20}" END_URL),
	{ .type = "OPENAI_KEY", .trigger = { "sk-[A-Za-z0-9]{4}" },
	  .value = "sk-(?!ant-|or-)(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{32,220}" END_URL
		   "|[A-Za-z0-9]{40,64}" END ")",
	  .check = check_openai, .flags = DETECT_EDGE | DETECT_SECRET, .rank = 80 },
	TOKEN("DEEPSEEK_KEY", "sk-[A-Za-z0-9]{4}", "sk-[0-9a-f]{32}" END_URL),
	TOKEN("OPENROUTER_KEY", "sk-or-v1-", "sk-or-v1-[0-9a-f]{64}" END),
	{ .type = "ANTHROPIC_KEY", .trigger = { "sk-ant-[a-z]{3}" },
	  .value = "sk-ant-[a-z]{3,8}[0-9]{2,3}-[A-Za-z0-9_-]{60,130}" END_URL,
	  .check = check_anthropic, .flags = DETECT_EDGE | DETECT_SECRET, .rank = 80 },
	TOKEN("GROQ_KEY", "gsk_[A-Za-z0-9]{2}", "gsk_[A-Za-z0-9]{48,56}" END),
	TOKEN("XAI_KEY", "xai-[A-Za-z0-9]{2}", "xai-[A-Za-z0-9_]{70,120}" END_URL),
	TOKEN("PERPLEXITY_KEY", "pplx-[A-Za-z0-9]", "pplx-[A-Za-z0-9]{40,64}" END),
	TOKEN("REPLICATE_KEY", "r8_[A-Za-z0-9]{3}", "r8_[A-Za-z0-9]{37}" END),
	TOKEN("HUGGINGFACE_TOKEN", "hf_[A-Za-z]{3}", "hf_[A-Za-z0-9]{34,40}" END),
	TOKEN("HUGGINGFACE_TOKEN", "api_org_[A-Za-z]", "api_org_[A-Za-z]{34}" END),
	TOKEN("AWS_KEY", "A[KSBC][ICA]A[A-Z2-7]{4}", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}" END),
	TOKEN("AWS_KEY", "A3T[A-Z0-9]{5}", "A3T[A-Z0-9]{17}" END),
	TOKEN("AWS_KEY", "da2-[a-z0-9]{2}", "da2-[a-z0-9]{26}" END),
	TOKEN("AWS_BEDROCK_KEY", "ABSK[A-Za-z0-9]{4}", "ABSK[A-Za-z0-9+/]{109,269}={0,2}" END),
	TOKEN("AWS_BEDROCK_KEY", "bedrock-api-key-",
	      "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[A-Za-z0-9+/=_-]{0,2048}" END_URL),
	TOKEN("GOOGLE_KEY", "AIza[A-Za-z0-9_-]{2}", "AIza[A-Za-z0-9_-]{35}" END_URL),
	TOKEN("GOOGLE_KEY", "GOCSPX-", "GOCSPX-[A-Za-z0-9_-]{28}" END_URL),
	TOKEN("GOOGLE_KEY", "ya29\\.[A-Za-z0-9_-]", "ya29\\.[A-Za-z0-9_-]{20,400}" END_URL),
	TOKEN("GOOGLE_KEY", "1//0[A-Za-z0-9_-]", "1//0[A-Za-z0-9_-]{60,110}" END_URL),
	TOKEN("GOOGLE_KEY", "AQ\\.Ab8RN6", "AQ\\.Ab8RN6[A-Za-z0-9_-]{44}" END_URL),
	TOKEN("SLACK_TOKEN", "xox[abceprsd][-.]", "xox[abceprsd][-.][A-Za-z0-9-]{20,250}" END_URL),
	TOKEN("SLACK_TOKEN", "xapp-\\d-", "xapp-[0-9]-[A-Z0-9]{6,14}-[0-9]{8,14}-[a-f0-9]{40,64}" END_URL),
	TOKEN("SLACK_WEBHOOK", "hooks\\.slack\\.com", "hooks\\.slack\\.com/(?:services|workflows|triggers)/"
	      "[A-Za-z0-9_]{4,14}/[A-Za-z0-9_]{4,14}/[A-Za-z0-9_]{12,30}(?:/[A-Za-z0-9_]{8,40})?" END),
	TOKEN("STRIPE_KEY", "sk_[lt][ie][vs]", "sk_(?:live|test)_[A-Za-z0-9]{10,99}" END),
	TOKEN("STRIPE_KEY", "rk_[lt][ie][vs]", "rk_(?:live|test)_[A-Za-z0-9]{10,99}" END),
	TOKEN("STRIPE_KEY", "whsec_[A-Za-z0-9]", "whsec_[A-Za-z0-9]{20,99}" END),
	{ .type = "JWT", .trigger = { "eyJ[A-Za-z0-9_-]{3}" },
	  .value = "(?<![_.-])eyJ[A-Za-z0-9_-]{8,2048}\\.[A-Za-z0-9_-]{8,4096}\\."
		   "[A-Za-z0-9_-]{0,2048}" END_URL,
	  .check = check_jwt, .flags = DETECT_EDGE | DETECT_SECRET, .rank = 79 },
	TOKEN("SENDGRID_KEY", "SG\\.[A-Za-z0-9_-]{2}",
	      "SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{16,64}" END_URL),
	TOKEN("TWILIO_KEY", "SK[0-9a-f]{6}", "SK[0-9a-f]{32}" END),
	TOKEN("TWILIO_KEY", "AC[0-9a-f]{6}", "AC[0-9a-f]{32}" END),
	TOKEN("MAILGUN_KEY", "key-[0-9a-f]{4}", "key-[0-9a-f]{32}" END),
	TOKEN("PYPI_TOKEN", "pypi-Ag[EN]", "pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBpLm9yZw)"
	      "[A-Za-z0-9_-]{40,1000}" END_URL),
	TOKEN("RUBYGEMS_KEY", "rubygems_", "rubygems_[0-9a-z]{48}" END),
	TOKEN("NUGET_KEY", "oy2[a-z0-9]{4}", "oy2[a-z0-9]{43}" END),
	TOKEN("DOCKER_TOKEN", "dckr_[po]at_", "dckr_[po]at_[A-Za-z0-9_-]{27,32}" END_URL),
	TOKEN("DIGITALOCEAN_TOKEN", "do[opr]_v1_", "do[opr]_v1_[0-9a-f]{64}" END),
	TOKEN("DATABRICKS_TOKEN", "dapi[0-9a-fA-F]{4}", "dapi[0-9a-fA-F]{32}(?:-[0-9])?" END_URL),
	TOKEN("VAULT_TOKEN", "hv[sbr]\\.[A-Za-z0-9_-]", "hv[sbr]\\.[A-Za-z0-9_-]{20,300}" END_URL),
	TOKEN("SHOPIFY_TOKEN", "shp[acps][tas]_", "shp(?:at|ca|pa|ss)_[A-Za-z0-9]{32}" END),
	TOKEN("SQUARE_TOKEN", "sq0[a-z]{3}", "sq0(?:atp|csp|idp|idb)-[A-Za-z0-9_-]{20,50}" END_URL),
	TOKEN("SQUARE_TOKEN", "EAAA[A-Za-z0-9_-]{2}", "EAAA[A-Za-z0-9_=-]{56,64}(?![A-Za-z0-9_=-])"),
	TOKEN("GRAFANA_TOKEN", "gl[cs][_a][A-Za-z0-9_]", "gl(?:c_[A-Za-z0-9+/]{32,400}={0,2}|sa_"
	      "[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})" END),
	TOKEN("NEWRELIC_KEY", "NR[A-Z]{2}-", "NR(?:AK-[A-Z0-9]{27,32}|II-[A-Za-z0-9_-]{26,34}|"
	      "AA-[a-f0-9]{27,32}|RA-[a-f0-9]{40,44}|IQ-[A-Za-z0-9_-]{30,34}|BR-[a-f0-9]{17,20}|"
	      "SP-[A-Za-z0-9_-]{30,40})" END_URL),
	/* The first part is the base64 of a number: its first digit or two make the second letter. */
	{ .type = "DISCORD_TOKEN",
	  .trigger = { "MD[A-Za-z0-9]{6}", "MT[A-Za-z0-9]{6}", "Mj[A-Za-z0-9]{6}", "Mz[A-Za-z0-9]{6}",
		       "ND[A-Za-z0-9]{6}", "NT[A-Za-z0-9]{6}", "Nj[A-Za-z0-9]{6}", "Nz[A-Za-z0-9]{6}",
		       "OD[A-Za-z0-9]{6}", "OT[A-Za-z0-9]{6}", "MZ[A-Za-z0-9]{6}", "MC[A-Za-z0-9]{6}" },
	  .value = "[MNO][A-Za-z0-9]{22,27}\\.[A-Za-z0-9_-]{6}\\.[A-Za-z0-9_-]{26,38}" END_URL,
	  .check = check_random, .flags = DETECT_EDGE | DETECT_SECRET, .rank = 80 },
	TOKEN("DISCORD_WEBHOOK", "api/webhooks/\\d", "api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{56,72}" END_URL),
	{ .type = "TELEGRAM_TOKEN", .trigger = { ":AA[A-Za-z0-9_-]{2}" }, .back = "0-9",
	  .value = "(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{32,34}" END_URL,
	  .check = check_random, .flags = DETECT_BACK | DETECT_SECRET, .rank = 80 },
	TOKEN("ATLASSIAN_TOKEN", "AT[AC]TT3", "AT[AC]TT3[A-Za-z0-9_=-]{24,250}" END_URL),
	TOKEN("DOPPLER_TOKEN", "dp\\.[a-z]{2}", "dp\\.(?:pt|ct|st(?:\\.[a-z0-9_-]{2,35})?|sa|scim|audit)\\."
	      "[A-Za-z0-9]{40,44}" END),
	TOKEN("LINEAR_KEY", "lin_[ao][pa][iu]", "lin_(?:api|oauth)_[A-Za-z0-9]{32,64}" END),
	TOKEN("POSTMAN_KEY", "PMAK-[A-Za-z0-9]", "PMAK-[A-Za-z0-9]{24}-[A-Za-z0-9]{34}" END),
	TOKEN("NOTION_TOKEN", "ntn_\\d{3}", "ntn_[0-9]{11}[A-Za-z0-9]{35}" END),
	TOKEN("FIGMA_TOKEN", "fig[dor][rh_]", "fig(?:d|or|oh|r)_[A-Za-z0-9_-]{36,64}" END_URL),
	TOKEN("PLANETSCALE_TOKEN", "pscale_[a-z]", "pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,64}" END_URL),
	TOKEN("SUPABASE_KEY", "sb[p_][_s][a-z0-9]", "sb(?:p_[a-z0-9]{40}|_secret_[A-Za-z0-9_-]{30,48})" END),
	TOKEN("SENTRY_TOKEN", "sntry[su]_", "sntry[su]_[A-Za-z0-9+/=_-]{60,300}" END_URL),
	TOKEN("CLOUDFLARE_KEY", "cf[ua]t_[A-Za-z0-9]", "cf[ua]t_[A-Za-z0-9]{40}[a-f0-9]{8}" END),
	TOKEN("CLOUDFLARE_KEY", "cfk_[A-Za-z0-9]", "cfk_[A-Za-z0-9]{40}[a-f0-9]{8}" END),
	TOKEN("CLOUDFLARE_KEY", "v1\\.0-[a-f0-9]", "v1\\.0-[A-Za-z0-9-]{140,180}" END_URL),
	TOKEN("AGE_KEY", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}" END),
	TOKEN("FACEBOOK_TOKEN", "EAA[MC][A-Za-z0-9]", "EAA[MC][A-Za-z0-9]{40,300}" END),
	TOKEN("ONEPASSWORD_TOKEN", "ops_eyJ", "ops_eyJ[A-Za-z0-9+/]{200,2000}={0,2}" END),
	TOKEN("FLYIO_TOKEN", "fm[12][ar_][_A-Za-z0-9]", "fm[12][ar]?_[A-Za-z0-9+/]{100,800}={0,3}" END),
	TOKEN("DYNATRACE_TOKEN", "dt0c01\\.", "dt0c01\\.[A-Z0-9]{24}\\.[A-Z0-9]{64}" END),
	TOKEN("PULUMI_TOKEN", "pul-[0-9a-f]{3}", "pul-[0-9a-f]{40}" END),
	TOKEN("ARTIFACTORY_TOKEN", "AKC[pP][A-Za-z0-9]{2}", "AKC[pP][A-Za-z0-9]{60,80}" END),
	TOKEN("BITBUCKET_TOKEN", "ATBB[A-Za-z0-9]{4}", "ATBB[A-Za-z0-9_=.-]{16,48}" END),
	TOKEN("ATLASSIAN_TOKEN", "BBDC-", "BBDC-[A-Za-z0-9+/]{40,50}" END),
	TOKEN("ALIBABA_KEY", "LTAI[A-Za-z0-9]{2}", "LTAI[A-Za-z0-9]{12,26}" END),
	/* What stands before the dot is a part of the token that tells nothing without the rest. */
	TOKEN_ANYWHERE("HASHICORP_TOKEN", "\\.atlasv1\\.", "\\.atlasv1\\.[A-Za-z0-9_=-]{60,70}" END_URL),
	TOKEN("DROPBOX_TOKEN", "sl\\.[A-Za-z0-9_-]{6}", "sl\\.[A-Za-z0-9_-]{100,180}" END_URL),
	TOKEN("FACEBOOK_TOKEN", "IGQV[A-Za-z0-9]{2}", "IGQV[A-Za-z0-9_-]{80,250}" END_URL),
	TOKEN("DOCKER_TOKEN", "SWMTKN-1-", "SWMTKN-1-[a-z0-9]{40,50}-[a-z0-9]{25}" END),
	TOKEN("GRAFANA_TOKEN", "eyJrIjoi", "eyJrIjoi[A-Za-z0-9]{60,200}={0,2}" END),
	TOKEN("PAYPAL_BRAINTREE_TOKEN", "access_token\\$",
	      "access_token\\$(?:production|sandbox)\\$[a-z0-9]{16}\\$[a-f0-9]{32}" END),
	{ .type = NULL },
};
