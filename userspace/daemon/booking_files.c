/* The files of the workers' rings. */
#include "daemon/booking.h"

#include "base/def.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What root makes for the recorder is the recorder's: as the state folder is. */
static int give(int fd, const struct stat *owner)
{
	return geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) < 0 ? -errno : 0;
}

int booking_spool_new(const char *state_dir, unsigned slot, size_t size, struct spool **out)
{
	cleanup(spool_closep) struct spool *s = NULL;
	cleanup(closep) int folder = -1;
	char path[PATH_MAX];
	struct stat owner;
	uint32_t tag;
	int r;

	if (stat(state_dir, &owner) < 0)
		return -errno;
	if (getrandom(&tag, sizeof(tag), 0) != (ssize_t)sizeof(tag))
		return -EIO;
	if ((size_t)snprintf(path, sizeof(path), "%s/spool", state_dir) >= sizeof(path))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	if ((size_t)snprintf(path, sizeof(path), "%s/spool/%u-%08x.ring", state_dir, slot, tag) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	r = spool_create(path, size, &s);
	if (r == 0)
		r = give(folder, &owner);
	if (r == 0)
		r = give(spool_fd(s), &owner);
	if (r < 0)
		return r;
	*out = take(s);
	return 0;
}

/* Found by what the descriptor says, as the recorder knows no name. */
void booking_spool_remove(const struct spool *s)
{
	char link[64], path[PATH_MAX];
	struct stat is, was;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", spool_fd(s));
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	if (stat(path, &is) == 0 && fstat(spool_fd(s), &was) == 0 && is.st_ino == was.st_ino &&
	    is.st_dev == was.st_dev && unlink(path) < 0)
		log_warn("cannot remove a spool that is done error=%s place=%s", strerror(errno), path);
}
