/* The CA: what it writes, what it refuses to sign, and that strict verifiers take its chains. */
#include "base/clock.h"
#include "base/file.h"
#include "pair.h"
#include "tls/mint.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char dir[64];

static struct slice new_spki(unsigned char out[128])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char *at = out;
	int len = i2d_PUBKEY(key, &at);

	EVP_PKEY_free(key);
	return slice_of(out, (size_t)len);
}

static int sign(struct ca *ca, const char *host, struct buf *pem)
{
	unsigned char raw[128];
	struct slice spki = new_spki(raw);

	buf_clear(pem);
	return ca_sign(ca, slice_str(host), spki, clock_wall_ns() / 1000000000, pem);
}

static struct ca *open_ca(const char *const *hosts, size_t n, int want, const char *why_has)
{
	struct ca *ca = NULL;
	struct buf why;

	buf_init(&why, 4096);
	t_int(ca_open(dir, hosts, n, &ca, &why), want, "ca_open: %.*s", SLICE_FMT(buf_slice(&why)));
	if (why_has)
		t_ok(slice_find(buf_slice(&why), slice_str(why_has)) >= 0, "why \"%.*s\" has \"%s\"",
		     SLICE_FMT(buf_slice(&why)), why_has);
	else
		t_int(buf_size(&why), 0, "nothing to say: %.*s", SLICE_FMT(buf_slice(&why)));
	buf_done(&why);
	return ca;
}

static const char *path(const char *file)
{
	static char out[4][128];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(out[turn], sizeof(out[turn]), "%s/%s", dir, file);
	return out[turn];
}

/* The openssl command is the judge, as strict as it can be. */
static int verify(const char *host, const struct buf *chain)
{
	char command[1024];
	struct slice all = buf_slice(chain);
	long end = slice_find(all, SLICE("-----END CERTIFICATE-----\n")) + 26;

	t_int(file_replace(path("leaf.pem"), slice_sub(all, 0, (size_t)end), 0600), 0, "leaf");
	t_int(file_replace(path("chain.pem"), slice_from(all, (size_t)end), 0600), 0, "chain");
	snprintf(command, sizeof(command),
		 "openssl verify -x509_strict -purpose sslserver -verify_hostname %s -CAfile %s "
		 "-untrusted %s %s >%s 2>&1",
		 host, path("ca.crt"), path("chain.pem"), path("leaf.pem"), path("out"));
	return system(command);
}

static void test_strict(void)
{
	static const char *const hosts[] = { "openai.com", "api.anthropic.com", "*.openai.azure.com",
					     "bedrock-runtime.us-east-1.amazonaws.com" };
	static const char *const good[] = {
		"api.openai.com", "openai.com", "api.anthropic.com", "my-corp.openai.azure.com",
		"bedrock-runtime.us-east-1.amazonaws.com", "API.OpenAI.com",
		"a234567890123456789012345678901234567890.b2345678901234567890.openai.com",
	};
	static const struct {
		const char *host;
		int result;
	} bad[] = {
		{ "example.com", -EACCES },          { "notopenai.com", -EACCES },
		{ "openai.com.evil.net", -EACCES },  { "anthropic.com", -EACCES },
		{ "com", -EACCES },                  { "127.0.0.1", -EACCES },
		{ "::1", -EACCES },                  { "*.openai.com", -EINVAL },
		{ "a*.openai.com", -EINVAL },        { "", -EINVAL },
		{ ".openai.com", -EINVAL },          { "a..openai.com", -EINVAL },
		{ "a,DNS:evil.openai.com", -EINVAL }, { "a/b.openai.com", -EINVAL },
		{ "1.2.3.4.5", -EINVAL },
	};
	struct ca *ca = open_ca(hosts, ARRAY_LEN(hosts), 0, NULL);
	struct buf pem;

	buf_init(&pem, 16384);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		t_int(sign(ca, good[i], &pem), 0, "%s is signed", good[i]);
		t_int(verify(good[i], &pem), 0, "%s verifies", good[i]);
		t_ok(buf_size(&pem) < 2048, "%s: %zu bytes of PEM", good[i], buf_size(&pem));
	}
	t_int(sign(ca, "api.openai.com.", &pem), 0, "a dot at the end is the same name");
	t_int(verify("api.openai.com", &pem), 0, "without it in the certificate");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t_int(sign(ca, bad[i].host, &pem), bad[i].result, "\"%s\" is refused", bad[i].host);
		t_int(buf_size(&pem), 0, "\"%s\": nothing comes with it", bad[i].host);
	}
	t_int(ca_sign(ca, SLICE("openai.com"), SLICE("x"), 0, &pem), -EINVAL, "no key");
	t_int(ca_sign(ca, SLICE("openai.com"), new_spki((unsigned char[128]){ 0 }),
		      clock_wall_ns() / 1000000000 + 10ULL * 365 * 86400, &pem), -EKEYEXPIRED,
	      "a leaf that would outlive its issuer");
	ca_free(ca);
	buf_done(&pem);
}

static void test_leaf(void)
{
	static const char *const hosts[] = { "openai.com" };
	struct ca *ca = open_ca(hosts, 1, 0, NULL);
	struct buf pem;
	BIO *b;
	X509 *leaf;
	GENERAL_NAMES *names;
	int days, seconds;

	buf_init(&pem, 16384);
	t_int(sign(ca, "api.openai.com", &pem), 0, "signed");
	b = BIO_new_mem_buf(pem.data, (int)pem.len);
	leaf = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	t_int(sk_GENERAL_NAME_num(names), 1, "one name, no widening");
	GENERAL_NAMES_free(names);
	t_ok(X509_check_host(leaf, "www.openai.com", 0, 0, NULL) != 1, "and no other");
	t_ok(ASN1_STRING_length(X509_get0_serialNumber(leaf)) >= 16, "serial of 128 bits");
	t_int(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(leaf), X509_get0_notAfter(leaf)), 1,
	      "dates");
	t_ok(days == 3 && seconds == 3600, "three days and an hour back");
	t_int(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE, "key usage");
	t_int(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER, "for servers");
	t_ok(X509_get0_authority_key_id(leaf) && X509_get0_subject_key_id(leaf), "AKI and SKI");
	X509_free(leaf);
	ca_free(ca);
	buf_done(&pem);
}

static struct slice slurp(const char *file, struct buf *out)
{
	buf_done(out);
	buf_init(out, 16 << 20);
	t_int(file_read(path(file), out), 0, "%s", file);
	return buf_slice(out);
}

static void test_life(void)
{
	static const char *const two[] = { "openai.com", "api.anthropic.com" };
	static const char *const three[] = { "openai.com", "api.anthropic.com", "api.mistral.ai" };
	static const char *const files[] = { "ca.crt", "ca.key", "int.crt", "int.key" };
	struct buf root = { 0 }, ints = { 0 }, now = { 0 }, pem;
	struct stat st;
	struct ca *ca;

	buf_init(&pem, 16384);
	ca_free(open_ca(two, 2, 0, NULL));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		t_ok(stat(path(files[i]), &st) == 0 && (st.st_mode & 0777) == 0600, "%s is 0600",
		     files[i]);
	slurp("ca.crt", &root);
	slurp("int.crt", &ints);

	rename(path("ca.key"), path("away"));
	ca = open_ca(two, 2, 0, NULL);
	t_ok(slice_eq(slurp("ca.crt", &now), buf_slice(&root)), "the same root again");
	t_ok(slice_eq(slurp("int.crt", &now), buf_slice(&ints)), "the same intermediates");
	t_int(sign(ca, "openai.com", &pem), 0, "signs with the root's key away from the machine");
	ca_free(ca);
	open_ca(two, 1, -ENOENT, "ca.key");
	rename(path("away"), path("ca.key"));

	ca = open_ca(two, 1, 0, NULL);
	t_ok(slice_eq(slurp("ca.crt", &now), buf_slice(&root)), "a shorter list keeps the root");
	t_ok(!slice_eq(slurp("int.crt", &now), buf_slice(&ints)), "and reissues the rest");
	t_int(sign(ca, "api.anthropic.com", &pem), -EACCES, "what left the list is refused");
	t_int(sign(ca, "openai.com", &pem), 0, "what stayed is signed");
	t_int(verify("openai.com", &pem), 0, "and verifies under the old root");
	ca_free(ca);

	ca = open_ca(three, 3, 0, "trust install");
	t_ok(!slice_eq(slurp("ca.crt", &now), buf_slice(&root)), "a longer list needs a new root");
	t_int(sign(ca, "api.mistral.ai", &pem), 0, "the new host is signed");
	t_int(verify("api.mistral.ai", &pem), 0, "and verifies");
	ca_free(ca);

	chmod(path("ca.key"), 0644);
	open_ca(two, 2, -EPERM, "others can read this key");
	chmod(path("ca.key"), 0600);
	t_int(file_replace(path("int.crt"), SLICE("garbage"), 0600), 0, "spoil int.crt");
	ca_free(open_ca(three, 3, 0, NULL));
	t_int(file_replace(path("int.key"), SLICE("garbage"), 0600), 0, "spoil int.key");
	ca_free(open_ca(three, 3, 0, NULL));
	t_int(file_replace(path("ca.crt"), SLICE("garbage"), 0600), 0, "spoil ca.crt");
	open_ca(three, 3, -EBADMSG, "not a certificate");
	buf_done(&root);
	buf_done(&ints);
	buf_done(&now);
	buf_done(&pem);
}

static void test_lists(void)
{
	static const char *const tld[] = { "com" }, *const star[] = { "a.*.com" };
	static const char *const address[] = { "10.1.2.3", "fd00::1", "localhost" };
	struct buf pem;
	struct ca *ca;

	buf_init(&pem, 16384);
	open_ca(tld, 1, -EINVAL, "top-level domain");
	open_ca(star, 1, -EINVAL, "no host name");
	open_ca(NULL, 0, -EINVAL, "no host is permitted");
	ca = open_ca(address, 3, 0, NULL);
	t_int(sign(ca, "10.1.2.3", &pem), 0, "an address of the list");
	t_int(sign(ca, "[fd00::1]", &pem), 0, "a long address of the list");
	t_int(sign(ca, "10.1.2.4", &pem), -EACCES, "its neighbour");
	t_int(sign(ca, "localhost", &pem), 0, "localhost");
	t_int(verify("localhost", &pem), 0, "verifies");
	ca_free(ca);
	buf_done(&pem);
}

static void test_many(void)
{
	enum { N = 1500 };
	static char names[N][32];
	static const char *hosts[N];
	struct ca *ca;
	struct buf pem;
	uint64_t start;

	buf_init(&pem, 16384);
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "api-%d.provider-%d.ai", i, i * 7919);
		hosts[i] = names[i];
	}
	start = clock_mono_ns();
	ca_free(open_ca(hosts, N, 0, NULL));
	printf("# %d hosts: created in %.0f ms", N, (double)(clock_mono_ns() - start) / 1e6);
	start = clock_mono_ns();
	ca = open_ca(hosts, N, 0, NULL);
	printf(", opened in %.0f ms, root %zu bytes of PEM", (double)(clock_mono_ns() - start) / 1e6,
	       ca_root_pem(ca).len);
	start = clock_mono_ns();
	for (int i = 0; i < 100; i++)
		(void)sign(ca, names[i * 13], &pem);
	printf(", key and leaf in %.0f us\n", (double)(clock_mono_ns() - start) / 1e5);
	for (int i = 0; i < N; i += 500) {
		t_int(sign(ca, names[i], &pem), 0, "signed");
		t_int(verify(names[i], &pem), 0, "%s verifies under %d constraints", names[i], N);
		t_ok(buf_size(&pem) < 2048, "with %zu bytes of chain", buf_size(&pem));
	}
	ca_free(ca);
	buf_done(&pem);
}

static void test_two_installs(void)
{
	static const char *const hosts[] = { "openai.com" };
	struct buf a = { 0 }, b = { 0 };
	char first[64];

	ca_free(open_ca(hosts, 1, 0, NULL));
	slurp("ca.key", &a);
	strcpy(first, dir);
	scratch_new(dir);
	ca_free(open_ca(hosts, 1, 0, NULL));
	t_ok(!slice_eq(slurp("ca.key", &b), buf_slice(&a)), "two installs have two keys");
	scratch_drop(dir);
	strcpy(dir, first);
	buf_done(&a);
	buf_done(&b);
}

int main(void)
{
	static void (*const tests[])(void) = { test_strict, test_life, test_lists, test_many,
					       test_two_installs };

	for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
		scratch_new(dir);
		tests[i]();
		if (i == 0)
			test_leaf();
		scratch_drop(dir);
	}
	return t_done();
}
